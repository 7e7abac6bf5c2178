"""The output of the commands: results on standard output, everything else on standard error."""

import json
import logging
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

import typer
from rich.console import Console
from rich.file_proxy import FileProxy
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from afterword.runtime import telemetry

if TYPE_CHECKING:
    from datetime import datetime

_WIDE = 10_000  # columns, where nothing is to be wrapped or cut off
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def console(*, stderr: bool = False) -> Console:
    """Return a console over the stream as it is now, to which brackets are no markup."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(
        stderr=stderr,
        width=None if stream.isatty() else _WIDE,
        markup=False,
        emoji=False,
        highlight=False,
    )


def result(text: str) -> None:
    """Print a result: to the letter, but for what could drive a terminal, if it is one."""
    shown = plain(text) if console().is_terminal else text
    typer.echo(shown, file=_above_bar(sys.stdout), color=True)


def result_json(value: object) -> None:
    """Print a result for a script."""
    result(json.dumps(value, ensure_ascii=False, indent=2))


def result_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table without lines, and without cutting anything off where it is too wide."""
    table = Table(*columns, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(*(plain(cell) for cell in row))
    out = console()
    out.width = _WIDE
    with out.capture() as drawn:
        out.print(table)
    for line in drawn.get().splitlines():
        typer.echo(line.rstrip(), color=True)


def say(text: str) -> None:
    """Print what a person wants to know and a script does not."""
    typer.echo(plain(text), file=_above_bar(sys.stderr), err=True)


def progress(*more: ProgressColumn) -> Progress:
    """Return a bar on standard error, below what is printed meanwhile; none if nobody sees it.

    More columns stand to the right of it.
    """
    terminal = console(stderr=True)
    return Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        *more,
        console=terminal,
        transient=True,
        disable=not terminal.is_terminal,
        redirect_stdout=sys.stdout.isatty(),
    )


def _above_bar(stream: TextIO) -> TextIO | None:
    """Return a stream that a live bar stands in for, since typer would find its way past it."""
    return stream if isinstance(stream, FileProxy) else None


@contextmanager
def plain_log() -> Iterator[None]:
    """Show the core's warnings as lines for a person, and nothing else of its log."""
    log = telemetry.logger()
    plain, structured = _Plain(logging.WARNING), log.registered_handler
    level = structured.level
    structured.setLevel(logging.CRITICAL + 1)
    log.addHandler(plain)
    try:
        yield
    finally:
        logging.getLogger(log.name).removeHandler(plain)
        structured.setLevel(level)


class _Plain(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(f"afterword: {record.getMessage()}: {getattr(record, 'why', 'no reason given')}")


def minute(moment: "datetime | None") -> str:
    """Return a UTC time to the minute, nothing for None."""
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M}"


def plain(text: str) -> str:
    """Return a text, which a model may have written, without the control characters in it."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))
