"""Documents that mean harm: the worker lives on, within its time, memory and secrets."""

import json
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import pytest

from afterword.errors import UnavailableError
from afterword.files import media_types
from afterword.generations import FailedError, Reason
from afterword_documents import extraction
from afterword_documents.extraction import extract
from tests.harness import pdf_files
from tests.harness.docx_files import (
    NUMBERING,
    STYLES,
    TYPES,
    body,
    docx,
    item,
    paragraph,
    style,
    table,
)
from tests.harness.packages import relationships, zipped
from tests.harness.seeds import SEED_PARAMS, seeded

if TYPE_CHECKING:
    import subprocess

PDF_FILE = pdf_files.with_pages("Été\nsecond line", "Second page")
DOCX_FILE = docx(
    paragraph("Été", style("Titre")) + paragraph("un", item(1)) + table((paragraph("a"),) * 2),
    styles=STYLES,
    numbering=NUMBERING,
)
HTML_FILE = "<html><h1>Été</h1><table><tr><td>a<td>b</table><ul><li>&eacute;</ul></html>".encode()
TOO_SLOW = "The document takes too long to read: send a simpler copy, or plain text."
TOO_COMPLEX = "The document is damaged, or too complex to be read: send it as plain text."


@cache
def slow_file() -> bytes:
    """Return a document that takes ten seconds or more, where others take milliseconds."""
    return pdf_files.that_unpacks_to(megabytes=40, pages=1_000)


def outcome(media_type: str, content: bytes, seconds: float = 10) -> str | FailedError:
    """Return the text or the failure; anything else that is raised fails the test."""
    began = time.monotonic()
    end: str | FailedError
    try:
        end = extract(media_type, content, seconds)
    except FailedError as error:
        end = error
    assert time.monotonic() - began < seconds + 2
    assert isinstance(end, str) or end.reason in {Reason.UNREADABLE_FILE, Reason.TOO_LONG}
    return end


@pytest.mark.parametrize(
    ("media_type", "content"),
    [
        pytest.param(media_types.PDF, PDF_FILE, id="pdf", marks=pytest.mark.long),
        pytest.param(media_types.DOCX, DOCX_FILE, id="docx"),
    ],
)
def test_a_document_that_is_cut_off_ends_well(media_type: str, content: bytes) -> None:
    """Wherever a document is cut off, what comes of it is text or a failure with a reason."""
    cuts = range(1, len(content), len(content) // 12)
    outcomes = [outcome(media_type, content[:cut]) for cut in cuts]
    assert any(isinstance(end, FailedError) for end in outcomes)


@pytest.mark.parametrize("seed", SEED_PARAMS)
def test_a_document_with_changed_bytes_ends_well(seed: int) -> None:
    """A document with any changed bytes ends as a text or a failure."""
    rng = seeded(seed)
    for media_type, content in (
        (media_types.PDF, PDF_FILE),
        (media_types.DOCX, DOCX_FILE),
        (media_types.HTML, HTML_FILE),
    ):
        outcome(media_type, _changed(rng, content))


def _changed(rng: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice([1, 3, 30])):
        at = rng.randrange(len(changed))
        changed[at : at + rng.choice([0, 1, 1, 8])] = rng.randbytes(rng.choice([0, 1, 1, 8]))
    return bytes(changed)


@pytest.mark.parametrize("media_type", [media_types.PDF, media_types.DOCX])
def test_noise_is_refused(media_type: str) -> None:
    """Bytes that are no document at all fail as damaged."""
    end = outcome(media_type, seeded(1).randbytes(50_000))
    assert isinstance(end, FailedError)
    assert str(end).startswith("The document is damaged")


@pytest.mark.long
def test_a_document_that_takes_too_long_is_ended() -> None:
    """A document whose reading does not end fails when its time is up."""
    began = time.monotonic()
    assert str(outcome(media_types.PDF, slow_file(), seconds=1)) == TOO_SLOW
    assert time.monotonic() - began >= 1


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(
            partial(pdf_files.that_unpacks_to, megabytes=400),
            id="a big page",
            marks=pytest.mark.long,
        ),
        pytest.param(
            partial(pdf_files.with_pictures_in_pictures, levels=8, copies=10), id="pictures"
        ),
    ],
)
def test_a_document_that_takes_too_much_memory_is_ended(make: Callable[[], bytes]) -> None:
    """A document that grows beyond the memory it may have fails, and the next one is read."""
    bomb = make()
    assert len(bomb) < 1_000_000
    assert str(outcome(media_types.PDF, bomb)) == TOO_COMPLEX
    assert outcome(media_types.PDF, PDF_FILE) == "Été\nsecond line\n\nSecond page"


EMBEDDED = (
    '<w:altChunk xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
    ' r:id="c"/>'
)


def embedding(chunk: bytes, times: int) -> bytes:
    """Return a Word document that embeds one document many times."""
    return zipped(
        {
            "[Content_Types].xml": TYPES,
            "word/document.xml": body(EMBEDDED * times),
            "word/_rels/document.xml.rels": relationships(("c", "aFChunk", "chunk")),
            "word/chunk": chunk,
        }
    )


def with_relationships(part: str) -> bytes:
    """Return a Word document whose relationships are that part."""
    parts = {"[Content_Types].xml": TYPES, "_rels/.rels": part}
    return zipped({**parts, "word/document.xml": body(paragraph("Hello"))})


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
LAUGHING = f'<!DOCTYPE r [<!ENTITY l0 "lol">{LAUGHS}]><r>&l9;</r>'


@pytest.mark.parametrize(
    ("media_type", "make", "sentence"),
    [
        pytest.param(
            media_types.TEXT,
            lambda: b" \n" * 50_000_000,
            "no text in it",
            id="a blank text",
            marks=pytest.mark.long,
        ),
        pytest.param(
            media_types.HTML,
            lambda: b"<p>" + b" " * 30_000_000,
            "no text in it|too long|complex",
            id="a blank page",
            marks=pytest.mark.long,
        ),
        pytest.param(
            media_types.DOCX,
            lambda: docx(f"<w:p><w:r><w:t>{' ' * 99_000_000}</w:t></w:r></w:p>"),
            "no text in it|complex",
            id="a blank document",
            marks=pytest.mark.long,
        ),
        pytest.param(
            media_types.DOCX, lambda: with_relationships(LAUGHING), "damaged", id="entities"
        ),
        pytest.param(
            media_types.DOCX,
            lambda: with_relationships(
                relationships(*((f"r{n}", "officeDocument", f"p{n}") for n in range(10_001)))
            ),
            "complex",
            id="relationships",
        ),
        pytest.param(
            media_types.DOCX,
            lambda: embedding(b"<p>x</p>" * 30_000, 100),
            "complex|too long|more than 1,000,000",
            id="a page many times",
            marks=pytest.mark.long,
        ),
        pytest.param(
            media_types.DOCX, lambda: embedding(b"<p>" * 33_000_000, 1), "complex|long", id="a page"
        ),
        pytest.param(
            media_types.DOCX, lambda: embedding(b"", 300_000), "complex", id="nothing often"
        ),
        pytest.param(
            media_types.TEXT,
            lambda: b"\xcf\xf0\xe8 " * 12_000_000,
            "more than 1,000,000 characters|complex",
            id="a long text of another encoding",
            marks=pytest.mark.long,
        ),
    ],
)
def test_a_bomb_ends_in_a_sentence(
    media_type: str, make: Callable[[], bytes], sentence: str
) -> None:
    """A document that grows, repeats itself or goes in circles ends in time, and says why."""
    end = outcome(media_type, make(), 10)
    assert isinstance(end, FailedError)
    assert re.search(sentence, str(end))


def test_ten_at_once_are_read() -> None:
    """Ten threads of a worker read ten documents at the same time, each its own."""
    texts = [f"Document {number}" for number in range(10)]
    with ThreadPoolExecutor(10) as threads:
        files = map(pdf_files.with_pages, texts)
        read = list(threads.map(lambda file: extract(media_types.PDF, file, 30), files))
    assert read == texts


def test_no_more_than_two_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many documents there are, their processes fit into the worker's memory."""
    now: list[int] = []
    most = 0
    lock = threading.Lock()
    answer = extraction._answer  # noqa: SLF001 - the counted reads

    def count(*arguments: Any) -> bytes:  # noqa: ANN401 - as they came
        nonlocal most
        with lock:
            now.append(1)
            most = max(most, len(now))
        try:
            return answer(*arguments)
        finally:
            with lock:
                now.pop()

    monkeypatch.setattr(extraction, "_answer", count)
    with ThreadPoolExecutor(10) as threads:
        list(threads.map(lambda _: outcome(media_types.HTML, HTML_FILE, 30), range(10)))
    assert most == 2


@pytest.mark.long
def test_a_document_that_never_had_its_turn_is_not_to_blame() -> None:
    """A document that waited in vain for others fails as unavailable, so that it is read later."""
    with ThreadPoolExecutor(2) as threads:
        slow = [threads.submit(outcome, media_types.PDF, slow_file(), 3) for _ in range(2)]
        _wait_until(lambda: extraction._slots._value == 0)  # noqa: SLF001 - both reads have begun
        with pytest.raises(UnavailableError):
            extract(media_types.PDF, PDF_FILE, 0.2)
        assert [str(future.result()) for future in slow] == [TOO_SLOW] * 2


def _wait_until(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)


@contextmanager
def child_that_runs(script: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a process as documents' are, which runs this instead of reading one."""
    with extraction.start(
        f"import json, os, socket, sys; child.limit(100_000_000, 5); {script}"
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def test_the_process_knows_nothing_of_the_workers_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The process that parses has no credentials, nor anything else of the worker's environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a-key")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-token")
    monkeypatch.setenv("AFTERWORD_BUCKET", "a-bucket")
    with child_that_runs("print(json.dumps(dict(os.environ)))") as child:
        environment = json.loads(child.communicate(timeout=10)[0])
    assert environment.keys() <= {"LD_LIBRARY_PATH", "LC_CTYPE"}


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("bytes(200_000_000)", id="memory"),
        pytest.param("open('/dev/null')", id="a file"),
        pytest.param("socket.socket()", id="a socket"),
        pytest.param("os.pipe()", id="a pipe"),
        pytest.param("os.fork()", id="a process"),
        pytest.param("child.limit(100_000_000, 99)", id="more time"),
        pytest.param(
            "child.resource.setrlimit(child.resource.RLIMIT_NOFILE, (9, 9))", id="more files"
        ),
    ],
)
def test_the_process_can_get_no_more_than_it_has(script: str) -> None:
    """The process that parses can get no more memory or time, and open neither file nor socket."""
    # As in Lambda, the user is not root, who may do what limits forbid.
    script = f"os.getuid() or os.setuid(65534); print('began', flush=True); {script}; print('done')"
    with child_that_runs(script) as child:
        assert child.communicate(timeout=10)[0] == b"began\n"
        assert child.returncode == 1


@pytest.mark.parametrize(
    ("script", "message"),
    [
        pytest.param("os.abort()", TOO_COMPLEX, id="dies"),
        pytest.param("print('nonsense')", TOO_COMPLEX, id="says what it should not"),
        pytest.param("print('text'); os.write(1, bytes([255]))", TOO_COMPLEX, id="writes no text"),
        pytest.param("print('no_text')", "The document has no text in it", id="says why not"),
        pytest.param("time.sleep(60)", TOO_SLOW, id="hangs"),
        pytest.param("os.close(1); time.sleep(5)", TOO_COMPLEX, id="hangs without its output"),
        pytest.param(
            "os.close(0); time.sleep(60)",
            TOO_SLOW,
            id="hangs without its input",
            marks=pytest.mark.long,
        ),
        pytest.param(
            "[os.write(1, b'text' + bytes([10]) + b'a' * 60000) for _ in iter(int, 1)]",
            "more than 1,000,000 characters",
            id="writes without end",
        ),
    ],
)
def test_a_process_that_is_taken_over_does_no_harm(
    script: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that does anything but read gives the worker a failure in time."""
    monkeypatch.setattr(extraction, "_RUN", f"import os, time; {script}")
    began = time.monotonic()
    with pytest.raises(FailedError, match=message):
        extract(media_types.PDF, PDF_FILE + bytes(500_000), 1)
    assert time.monotonic() - began < 3


def test_only_documents_are_read() -> None:
    """A file that is no document is not read."""
    with pytest.raises(ValueError, match="image/png"):
        extract(media_types.PNG, b"\x89PNG", 1)
