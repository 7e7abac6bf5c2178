"""`python -m bench.documents`: the share of real documents that are read; see README.md."""

import argparse
import shutil
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from bench.documents import fixtures

if TYPE_CHECKING:
    from bench.documents.fixtures import Fixture

SECONDS = 30.0
"""For one document, as in the worker."""
_REPORT_SECONDS = 5.0
_PLAIN = frozenset({"text/plain", "text/markdown", "text/csv", "application/json"})
_STRUCTURED = frozenset({"EML, MBOX", "HTML", "RTF"})
"""Formats whose source is a text: as plain text it would be stored with all its codes."""
_TROUBLE = ("too long to read", "too complex")
_NO_TEXT = "has no text in it"


class Outcome(StrEnum):
    """The outcome of a document."""

    READ = "read"
    NO_TEXT = "no text"
    AS_SOURCE = "as source"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of a document, with the sentence of a refusal or a failure."""

    fixture: "Fixture"
    outcome: Outcome
    sentence: str = ""


def main() -> int:
    """Read all documents, and print a table for each format and the sentences of refusals."""
    parser = argparse.ArgumentParser(prog="python -m bench.documents", description=__doc__)
    parser.add_argument("--layers", type=Path, help="the folder `layers` of another version")
    parser.add_argument("--list", action="store_true", help="name each document that is not read")
    parser.add_argument("--format", help="only this format, as in the table")
    arguments = parser.parse_args()
    if arguments.layers is not None:
        for name in ("core", "documents"):
            sys.path.insert(0, str(arguments.layers.resolve() / name))
    python = shutil.which("python3") or sys.executable  # one with pip, which uv's lacks
    found = [
        each
        for each in fixtures.read(fixtures.download(python))
        if arguments.format in {None, each.format}
    ]
    findings = list(_read_all(found))
    meant = [each for each in findings if not each.fixture.is_made_to_fail]
    _print_table("Documents", meant)
    _print_table("Made to fail, by their names", [each for each in findings if each not in meant])
    _print_sentences(meant)
    if arguments.list:
        for each in sorted(meant, key=lambda each: (each.fixture.format, each.fixture.path)):
            if each.outcome is not Outcome.READ:
                place = f"{each.fixture.package}: {each.fixture.path.partition('/')[2]}"
                print(f"{each.fixture.format}: {place}: {each.outcome}: {each.sentence}")
    return 0


def _read_all(found: "Sequence[Fixture]") -> Iterator[Finding]:
    """Read documents, two at once as in the worker, and say how far it is."""
    said = started = time.monotonic()
    with ThreadPoolExecutor(2) as executor:
        for done, finding in enumerate(executor.map(_read, found), 1):
            yield finding
            if time.monotonic() >= said + _REPORT_SECONDS or done == len(found):
                said = time.monotonic()
                print(f"{done} of {len(found)} in {said - started:.0f} s", flush=True)


def _read(fixture: "Fixture") -> Finding:
    # Imported here, where --layers may have put another version before this one.
    from afterword.errors import AfterwordError  # noqa: PLC0415
    from afterword.files import media_types  # noqa: PLC0415
    from afterword_documents import extraction  # noqa: PLC0415

    media_type = media_types.detect(fixture.content)
    if media_type not in media_types.DOCUMENTS:
        return Finding(fixture, Outcome.REFUSED, "Of a type that is not taken.")
    try:
        extraction.extract(media_type, fixture.content, SECONDS)
    except AfterwordError as error:
        return Finding(fixture, _judge(str(error)), str(error))
    except Exception as error:  # noqa: BLE001 - which the table has to show
        return Finding(fixture, Outcome.FAILED, f"{type(error).__name__} in the reader.")
    if fixture.format in _STRUCTURED and media_type in _PLAIN:
        return Finding(fixture, Outcome.AS_SOURCE, f"Taken as {media_type}, with its codes.")
    return Finding(fixture, Outcome.READ)


def _judge(sentence: str) -> Outcome:
    """Return the outcome that a refusal's sentence tells."""
    if _NO_TEXT in sentence:
        return Outcome.NO_TEXT
    return Outcome.FAILED if any(words in sentence for words in _TROUBLE) else Outcome.REFUSED


def _print_table(title: str, findings: "Sequence[Finding]") -> None:
    print(f"\n{title}:\n")
    print("| format | files | read | no text | as source | refused | failed | share |")
    print("|---|---|---|---|---|---|---|---|")
    kinds = sorted({each.fixture.format for each in findings}, key=str.casefold)
    for kind in kinds:
        _print_row(kind, [each for each in findings if each.fixture.format == kind])
    _print_row("all", findings)


def _print_row(name: str, findings: "Sequence[Finding]") -> None:
    counts = Counter(each.outcome for each in findings)
    numbers = " | ".join(str(counts[outcome]) for outcome in Outcome)
    with_text = len(findings) - counts[Outcome.NO_TEXT]
    share = f"{counts[Outcome.READ] / with_text:.2f}" if with_text else ""
    print(f"| {name} | {len(findings)} | {numbers} | {share} |")


def _print_sentences(findings: "Iterable[Finding]") -> None:
    by_sentence: dict[tuple[str, str], int] = defaultdict(int)
    for each in findings:
        if each.outcome is not Outcome.READ:
            by_sentence[each.fixture.format, each.sentence] += 1
    print("\n| format | files | sentence |\n|---|---|---|")
    for (kind, sentence), files in sorted(by_sentence.items()):
        print(f"| {kind} | {files} | {sentence} |")


if __name__ == "__main__":
    sys.exit(main())
