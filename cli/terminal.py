"""What the commands say: results on standard output, everything else on standard error."""

import json
import re
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from datetime import datetime

_WIDE = 10_000  # columns of a file or a pipe, where nothing is to be wrapped
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
    typer.echo(_plain(text) if console().is_terminal else text, color=True)


def result_json(value: object) -> None:
    """Print a result for a script."""
    result(json.dumps(value, ensure_ascii=False, indent=2))


def result_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table without lines."""
    table = Table(*columns, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(*(_plain(cell) for cell in row))
    out = console()
    with out.capture() as drawn:
        out.print(table)
    for line in drawn.get().splitlines():
        typer.echo(line.rstrip(), color=True)


def say(text: str) -> None:
    """Print what a person wants to know and a script does not."""
    typer.echo(_plain(text), err=True)


def minute(moment: "datetime | None") -> str:
    """Return a UTC time to the minute, nothing for None."""
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M}"


def _plain(text: str) -> str:
    """Return a text, which a model may have written, without the control characters in it."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))
