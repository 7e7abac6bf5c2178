"""A generation's files on their way to the model: as they are where it takes them, else as text."""

import importlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from afterword.errors import UnavailableError
from afterword.files.media_types import IMAGES
from afterword.generations import FailedError, Reason
from afterword.models import Attachment, ModelUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from afterword.files import StoredFile
    from afterword.flows.flow import Step

MAX_DOCUMENTS = 5
"""Documents that Bedrock takes in a request; the others go as text.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Message.html
"""
READ_SECONDS = 60.0
"""How long a document may take to be read."""


@dataclass(frozen=True, slots=True)
class PreparedFiles:
    """A generation's files: the texts by the input that each is for, and what goes as it is."""

    texts: tuple[tuple[str, str], ...] = ()
    attached: tuple[Attachment, ...] = ()

    def of(self, step: "Step") -> tuple[Attachment, ...]:
        """Return what is attached for a step: images only if its model looks at them."""
        return tuple(
            each for each in self.attached if step.accepts_images or each.media_type not in IMAGES
        )


def prepare_files(
    files: "Sequence[StoredFile]",
    steps: "Sequence[Step]",
    documents: "Collection[str]",
    read: "Callable[[StoredFile], bytes]",
    ends: float,
) -> PreparedFiles:
    """Read a generation's files, once for all the steps that are left.

    `documents` are the media types that the model takes; `ends` is monotonic. Raises FailedError
    for an image where no step accepts any, and for a file that cannot be read, and
    ModelUnavailableError where there was no time to read it beside others.
    """
    texts: list[tuple[str, str]] = []
    attached: list[Attachment] = []
    room = MAX_DOCUMENTS
    for file in files:
        if file.media_type in IMAGES:
            if not any(step.accepts_images for step in steps):
                raise FailedError(
                    Reason.IMAGE_NOT_ACCEPTED,
                    f"{file.input}: the file is an image, and no step of the flow accepts images.",
                )
        elif file.media_type in documents and room:
            room -= 1
        else:
            texts.append((file.input, _text(file, read(file), ends - time.monotonic())))
            continue
        attached.append(Attachment(media_type=file.media_type, content=read(file)))
    return PreparedFiles(tuple(texts), tuple(attached))


def _text(file: "StoredFile", content: bytes, seconds: float) -> str:
    """Return a document's text. What reads it is in a layer of its own, which the worker has."""
    extract = importlib.import_module("afterword_documents.extraction").extract
    try:
        text: str = extract(file.media_type, content, min(seconds, READ_SECONDS))
    except FailedError as error:
        raise FailedError(error.reason, f"{file.input}: {error}") from error
    except UnavailableError as error:
        raise ModelUnavailableError(str(error)) from error
    return text
