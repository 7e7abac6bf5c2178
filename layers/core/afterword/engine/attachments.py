"""A generation's files in a prompt: attached where the model accepts them, otherwise as text."""

from typing import TYPE_CHECKING

from afterword.errors import UnavailableError
from afterword.files.media_types import HTML, IMAGES, TEXTS
from afterword.generations import FailedError, Reason
from afterword.models import Attachment, ModelUnavailableError
from afterword.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from afterword.files import StoredFile
    from afterword.flows.flow import Step
    from afterword.runtime.deadline import Deadline

MAX_DOCUMENTS = 5
"""Documents in a request to Bedrock; the others go as text.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Message.html
"""
READ_SECONDS = 60.0
"""The longest time for reading one document."""
DOCUMENT_MEGABYTES = 512
"""The least memory of a worker that reads documents: two are read at once, in 160 MB each."""
PLAIN_TEXTS = TEXTS - {HTML}
"""The documents that a worker with less memory reads."""
_NO_DOCUMENTS = (
    "this deployment reads plain texts alone. For documents, its parameter WorkerMemory must be"
    " at least 512."
)


@dataclass(frozen=True, slots=True)
class PreparedFiles:
    """A generation's files: the texts by input, and the attachments."""

    texts: tuple[tuple[str, str], ...] = ()
    attached: tuple[Attachment, ...] = ()

    def of(self, step: "Step") -> tuple[Attachment, ...]:
        """Return the attachments of a step: images only if the step accepts them."""
        return tuple(
            each for each in self.attached if step.accepts_images or each.media_type not in IMAGES
        )


def prepare_files(  # noqa: PLR0913 - a generation's files, and what reads them
    files: "Sequence[StoredFile]",
    steps: "Sequence[Step]",
    documents: "Collection[str]",
    read: "Callable[[StoredFile], bytes]",
    deadline: "Deadline",
    *,
    reads_documents: bool = True,
) -> PreparedFiles:
    """Read a generation's files, once for all the steps that are left.

    `documents` are the media types that the model accepts. Without `reads_documents` PLAIN_TEXTS
    alone are read. Raises FailedError for an image that no
    step accepts, and for an unreadable file. Raises ModelUnavailableError where other documents
    left no time to read one.
    """
    texts: list[tuple[str, str]] = []
    attached: list[Attachment] = []
    room = MAX_DOCUMENTS
    for file in files:
        if file.media_type in IMAGES and not any(step.accepts_images for step in steps):
            raise FailedError(
                Reason.IMAGE_NOT_ACCEPTED,
                f"{file.input}: the file is an image, and no step of the flow accepts images.",
            )
        content = read(file)
        if file.media_type not in IMAGES:
            if not (file.media_type in documents and room and _is_readable(file, content)):
                if not reads_documents and file.media_type not in PLAIN_TEXTS:
                    raise FailedError(Reason.UNREADABLE_FILE, f"{file.input}: {_NO_DOCUMENTS}")
                texts.append((file.input, _text(file, content, deadline)))
                continue
            room -= 1
        attached.append(Attachment(media_type=file.media_type, content=content))
    return PreparedFiles(tuple(texts), tuple(attached))


def _is_readable(file: "StoredFile", content: bytes) -> bool:
    """Whether a model reads a file as it is: texts in UTF-8, other documents by their own rules."""
    if file.media_type in TEXTS:
        try:
            content.decode()
        except UnicodeDecodeError:
            return False
    return True


def _text(file: "StoredFile", content: bytes, deadline: "Deadline") -> str:
    """Return a document's text, by the documents layer."""
    from afterword_documents.extraction import extract

    try:
        return extract(file.media_type, content, min(deadline.remaining(), READ_SECONDS))
    except FailedError as error:
        raise FailedError(error.reason, f"{file.input}: {error}") from error
    except UnavailableError as error:
        raise ModelUnavailableError(str(error)) from error
