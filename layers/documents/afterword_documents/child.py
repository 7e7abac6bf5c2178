"""The process that reads one document: from its standard input, to its standard output.

Before the process sees the document, it gives up all that reading does not need. Memory and time
are bounded; other processes, and files and sockets but its two pipes, are out of reach. The worker
gives it an empty environment (afterword_documents.extraction).
"""

import resource
import sys
from collections.abc import Callable

from afterword_documents.verdicts import MAX_CHARACTERS, Verdict, VerdictError


def run(media_type: str, memory: int, seconds: int) -> None:
    """Write the verdict on the document that is to be read, and its text if that is the verdict."""
    read = _reader(media_type)
    limit(memory, seconds)
    try:
        text = _checked(read(sys.stdin.buffer.read()))
        verdict = Verdict.TEXT
    except VerdictError as error:
        text, verdict = "", error.verdict
    except (MemoryError, RecursionError):
        text, verdict = "", Verdict.TOO_COMPLEX
    sys.stdout.buffer.write(f"{verdict}\n{text}".encode("utf-8", "replace"))
    sys.stdout.buffer.flush()


def limit(memory: int, seconds: int) -> None:
    """Give up, for good, what is not needed from here on."""
    for what, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, seconds),  # should the worker be gone and nobody end it
        (resource.RLIMIT_NOFILE, 0),  # nothing can be opened: no file, no socket, no /proc
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        try:
            resource.setrlimit(what, (most, most))
        except ValueError:
            if sys.platform == "linux":  # others, on which Lambda does not run, lack some
                raise


def _reader(media_type: str) -> Callable[[bytes], str]:
    """Return the reader of a media type; each imports its own parser, and no other."""
    if media_type == "application/pdf":
        from afterword_documents import pdf  # noqa: PLC0415

        return pdf.text
    if media_type == "text/html":
        from afterword_documents import web_pages  # noqa: PLC0415

        return lambda content: web_pages.text(content.decode())
    from afterword_documents import docx  # noqa: PLC0415

    return docx.text


def _checked(text: str) -> str:
    if not text.strip():
        raise VerdictError(Verdict.NO_TEXT)
    if len(text) > MAX_CHARACTERS:
        raise VerdictError(Verdict.TOO_LONG)
    return text
