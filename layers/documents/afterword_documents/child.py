"""The process that reads one document: from its standard input, to its standard output.

Before the document arrives, the process gives up every right that parsing does not need: memory and
time over the bounds, other processes, and all files and sockets but its two pipes. Its environment
has nothing of the parent's (afterword_documents.extraction).
"""

import importlib
import resource
import sys
from collections.abc import Callable
from typing import cast

from afterword_documents.verdicts import Verdict, VerdictError, check


def run(media_type: str, memory: int, seconds: int) -> None:
    """Read the document, and write its verdict, with its text after Verdict.TEXT."""
    read = _load_parser(media_type)
    limit(memory, seconds)
    try:
        text = check(read(sys.stdin.buffer.read()))
        verdict = Verdict.TEXT
    except VerdictError as error:
        text, verdict = "", error.verdict
    except (MemoryError, RecursionError):
        text, verdict = "", Verdict.TOO_COMPLEX
    sys.stdout.buffer.write(f"{verdict}\n{text}".encode("utf-8", "replace"))
    sys.stdout.buffer.flush()


def limit(memory: int, seconds: int) -> None:
    """Give up, for good, all rights that parsing does not need."""
    sys.meta_path.clear()  # a module that is not there yet, such as an encoding's, is just missing
    for what, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, seconds),  # for the case that the parent is gone
        (resource.RLIMIT_NOFILE, 0),  # no file, no socket, no /proc
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        try:
            resource.setrlimit(what, (most, most))
        except ValueError:
            if sys.platform == "linux":  # others, on which Lambda does not run, lack some
                raise


_PARSERS = {
    "application/pdf": "pdf",
    "text/plain": "detection",
    "text/html": "web_pages",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
    "application/vnd.oasis.opendocument.text": "odt",
    "application/rtf": "rtf",
    "application/epub+zip": "epub",
    "message/rfc822": "attachments",
    "application/mbox": "attachments",
}
"""The module of each media type's parser: its function `text` takes the document's bytes."""


def _load_parser(media_type: str) -> Callable[[bytes], str]:
    """Return the parser of a media type, with its own imports alone."""
    module = importlib.import_module(f"afterword_documents.{_PARSERS[media_type]}")
    return cast("Callable[[bytes], str]", module.text)
