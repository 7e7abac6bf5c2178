"""The extraction of a document's text, safe from hostile documents.

Untrusted documents are parsed in a process of their own (`child`), which gets the document and
nothing else: no credentials, no open files, bounded memory. At the deadline the process is killed.
"""

import os
import selectors
import subprocess
import sys
import threading
import time
from contextlib import suppress
from math import ceil

from afterword.errors import UnavailableError
from afterword.files import media_types
from afterword.generations import FailedError, Reason
from afterword_documents import encodings
from afterword_documents.verdicts import (
    MAX_CHARACTERS,
    MAX_PAGES,
    MAX_UNPACKED_BYTES,
    Verdict,
    VerdictError,
    check,
)

MAX_PARALLEL = 2
"""Documents in parallel, so that a slow one does not block all others."""
MEMORY_BYTES = 160 * 1024 * 1024
"""Address space of each parsing process. MAX_PARALLEL of them and the worker fit into 512 MB."""

_slots = threading.BoundedSemaphore(MAX_PARALLEL)


def extract(media_type: str, content: bytes, seconds: float) -> str:
    """Return the text of a document whose type is one of media_types.DOCUMENTS.

    Up to half of `seconds` may pass in waiting for other documents of this process. Raises
    FailedError, whose message is the sender's remedy, with Reason.UNREADABLE_FILE or
    Reason.TOO_LONG. Raises UnavailableError after waiting too long: a retry may succeed.
    """
    if media_type not in media_types.DOCUMENTS:
        raise ValueError(media_type)
    if not content:
        raise FailedError(Reason.UNREADABLE_FILE, "The document is empty: send one with text.")
    ends = time.monotonic() + seconds
    if media_type not in media_types.TEXTS:
        return _parse(media_type, content, ends)
    label = encodings.declared(content) if media_type in _DECLARING else ""
    text = encodings.decode_known(content, label)
    if text is None:
        text = _parse(media_types.TEXT, content, ends)
    if media_type == media_types.HTML:
        return _parse(media_type, text.encode(), ends)
    return _check(text)


_DECLARING = frozenset({media_types.HTML, media_types.TEXT})
"""Types of texts that may declare their encodings: pages, and XML."""


def _parse(media_type: str, content: bytes, ends: float) -> str:
    """Return the text that the process's parser of a media type makes of bytes."""
    if not _slots.acquire(timeout=max(0.0, (ends - time.monotonic()) / 2)):
        raise UnavailableError("Other documents took all the time there is for reading documents.")
    try:
        answer = _answer(media_type, content, ends)
    finally:
        _slots.release()
    return _parse_answer(answer)


def _check(text: str) -> str:
    try:
        return check(text)
    except VerdictError as error:
        raise _failed(error.verdict) from error


def _parse_answer(answer: bytes) -> str:
    """Return the text of the process's output, which is as untrusted as the document."""
    verdict, _, text = answer.partition(b"\n")
    try:
        known = Verdict(verdict.decode())
        if known is Verdict.TEXT:
            return _check(text.decode())
    except ValueError as error:
        raise _failed(Verdict.TOO_COMPLEX) from error
    raise _failed(known)


_SENTENCES = {
    Verdict.NO_TEXT: (
        "The document has no text in it: if it is a scan, send a copy with its text recognised."
    ),
    Verdict.TOO_LONG: (
        f"The document has more than {MAX_CHARACTERS:,} characters of text:"
        " send the part that matters."
    ),
    Verdict.TOO_MANY_PAGES: (
        f"The document has more than {MAX_PAGES:,} pages, sheets or mails: send those that matter."
    ),
    Verdict.UNPACKS_TOO_BIG: (
        f"The document unpacks to more than {MAX_UNPACKED_BYTES // 1_000_000} MB:"
        " send a copy without its pictures, or as plain text."
    ),
    Verdict.NEEDS_PASSWORD: "The document asks for a password: send a copy without one.",
    Verdict.UNREADABLE_FONTS: (
        "The document's fonts do not say which characters they show: send the document that it"
        " was made from, or a copy with its text recognised."
    ),
    Verdict.UNKNOWN_ENCODING: "The text's encoding cannot be told: save it as UTF-8.",
    Verdict.DAMAGED: "The document is damaged: open it, save it anew, and send that copy.",
    Verdict.TOO_COMPLEX: (
        "The document is damaged, or too complex to be read: send it as plain text."
    ),
}
_TOO_SLOW = "The document takes too long to read: send a simpler copy, or plain text."


def _failed(verdict: Verdict) -> FailedError:
    too_long = verdict in {Verdict.TOO_LONG, Verdict.TOO_MANY_PAGES}
    reason = Reason.TOO_LONG if too_long else Reason.UNREADABLE_FILE
    return FailedError(reason, _SENTENCES[verdict])


# --- the process ----------------------------------------------------------------------------------

_IMPORT = "from afterword_documents import child"
_RUN = "child.run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))"
_MAX_ANSWER = 32 + 4 * MAX_CHARACTERS  # a verdict, and up to four bytes of UTF-8 a character
_CHUNK = 65_536


def _answer(media_type: str, content: bytes, ends: float) -> bytes:
    """Return the output of the process; raise FailedError after the deadline."""
    seconds = ceil(max(0.0, ends - time.monotonic())) + 1  # after the parent's kill
    try:
        process = start(_RUN, media_type, str(MEMORY_BYTES), str(seconds))
    except OSError as error:
        raise UnavailableError("No process could be started to read documents.") from error
    with process:
        try:
            return _exchange(process, content, ends)
        finally:
            process.kill()  # the process may have closed its output and still run


def start(script: str, *arguments: str) -> "subprocess.Popen[bytes]":
    """Start a script that has `child` in this Python, apart from the environment and settings."""
    path = [folder for folder in sys.path if folder.startswith("/")]
    begin = f"import sys; sys.path[:] = sys.argv[{len(arguments) + 1}:]; {_IMPORT}"
    options = ("-I", "-S", "-X", "utf8", "-c")
    return subprocess.Popen(  # noqa: S603 - our own interpreter and our own module # nosec B603
        [sys.executable, *options, f"{begin}; {script}", *arguments, *path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={"LD_LIBRARY_PATH": f"{sys.base_prefix}/lib"},  # the libraries of Lambda's Python
        bufsize=0,
    )


def _exchange(process: "subprocess.Popen[bytes]", content: bytes, ends: float) -> bytes:
    """Write the content and read the answer, as the process is ready for either."""
    assert process.stdin is not None  # noqa: S101 - both are pipes
    assert process.stdout is not None  # noqa: S101
    sink, source = process.stdin.fileno(), process.stdout.fileno()
    os.set_blocking(sink, False)
    left = memoryview(content)
    answer = bytearray()
    with selectors.DefaultSelector() as ready:
        ready.register(sink, selectors.EVENT_WRITE)
        ready.register(source, selectors.EVENT_READ)
        while True:
            for key, _ in ready.select(max(0.0, ends - time.monotonic())):
                if key.fd == sink:
                    with suppress(BrokenPipeError):
                        left = left[os.write(sink, left[:_CHUNK]) :]
                        if left:
                            continue
                    ready.unregister(sink)
                    process.stdin.close()
                elif chunk := os.read(source, _CHUNK):
                    answer += chunk
                else:
                    return bytes(answer)
            if time.monotonic() >= ends:
                process.kill()
                raise FailedError(Reason.UNREADABLE_FILE, _TOO_SLOW)
            if len(answer) > _MAX_ANSWER:
                process.kill()
                raise _failed(Verdict.TOO_LONG)
