"""Checks how sentences begin, in docstrings, comments and messages: `python -m audit.prose`.

The subject of a sentence is a noun of docs/glossary.md, and `Return` has an article behind it.
"""

import ast
import re
import sys
import tokenize
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
FOLDERS = ("audit", "bench", "cli", "deploy", "functions", "layers", "local", "openapi", "tests")
"""The folders whose files are checked."""
FIRST_WORD = re.compile(
    r"(it|what|whatever|who|whoever|somebody|nobody|they)\b"
    r"|(return|yield)s? (what|who|(whether|how) it)\b",
    re.IGNORECASE,
)
"""The beginnings that a sentence may not have."""
_SENTENCE_END = re.compile(r"(?<=[.:;!?])\s+")
_DIRECTIVE = re.compile(r"#:? ?|\b(noqa|type: ignore|nosec|pragma)\b.*")
_LOG_METHODS = {"debug", "info", "warning", "error", "exception", "critical"}


class Text(NamedTuple):
    """A text of a file, with the line on which it begins."""

    line: int
    text: str


class Finding(NamedTuple):
    """A sentence that begins with a word other than its subject's noun."""

    place: str
    sentence: str


def check(path: Path) -> list[Finding]:
    """Return the findings of a file of Python."""
    source = path.read_text()
    place = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    texts = chain(_strings(ast.parse(source)), _comments(source))
    return [
        Finding(f"{place}:{line}", sentence)
        for line, text in sorted(texts)
        for sentence in _SENTENCE_END.split(" ".join(text.split()))
        if FIRST_WORD.match(sentence)
    ]


def _strings(tree: ast.Module) -> Iterator[Text]:
    """Yield docstrings, attributes' docstrings, and the messages of logs and errors."""
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text)) as constant):
                yield Text(constant.lineno, text)
            case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name), args=[*arguments]):
                messages = arguments if name.endswith("Error") else arguments[:1]
                if name.endswith("Error") or name in _LOG_METHODS:
                    yield from chain.from_iterable(map(_message, messages))


def _message(argument: ast.expr) -> Iterator[Text]:
    """Yield a literal message, with an ellipsis for each value that is put into it."""
    match argument:
        case ast.Constant(value=str(text)):
            yield Text(argument.lineno, text)
        case ast.JoinedStr(values=parts):
            yield Text(argument.lineno, "".join(_literal(part) for part in parts))


def _literal(part: ast.expr) -> str:
    return str(part.value) if isinstance(part, ast.Constant) else "…"


def _comments(source: str) -> Iterator[Text]:
    """Yield comments; lines of comment that follow each other are one."""
    begun: Text | None = None
    before = 0
    for token in tokenize.generate_tokens(iter(source.splitlines(keepends=True)).__next__):
        if token.type != tokenize.COMMENT:
            continue
        line, text = token.start[0], _DIRECTIVE.sub("", token.string)
        alone = not token.line[: token.start[1]].strip()
        if begun and alone and line == before + 1:
            begun = Text(begun.line, f"{begun.text} {text}")
        else:
            if begun:
                yield begun
            begun = Text(line, text)
        before = line
    if begun:
        yield begun


def main(folders: list[str]) -> int:
    """Print the findings of these folders, or of all; return 1 when there are some."""
    roots = [ROOT / name for name in folders or FOLDERS]
    files = [path for root in roots for path in sorted(root.rglob("*.py")) or [root]]
    findings = [finding for path in files for finding in check(path)]
    for place, sentence in findings:
        print(f"{place}: {sentence}", file=sys.stderr)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
