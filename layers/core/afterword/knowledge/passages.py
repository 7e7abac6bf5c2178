"""The cutting of a content's text into passages, which are ranked and put into prompts."""

import re
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum

from afterword.files import media_types
from afterword.records import dataclass

MAX_PASSAGE = 1_000
"""Characters of a passage, at most (about 250 tokens; docs/decisions/0018-ranking.md)."""
MAX_HEADING = 200
"""Characters of the headings above a passage, at most."""
MAX_HEADER = 500
"""Characters of a table's first row above a passage of its other rows, at most."""


@dataclass(frozen=True)
class Passage:
    """A part of a text, from `start` to `end`, with the headings above it.

    Of rows whose table begins in an earlier passage, the table's first row is the last heading.
    Passages are numbered from 0, in order.
    """

    number: int
    text: str
    heading: str
    start: int
    end: int


class _Break(IntEnum):
    """The kind of break before a piece; a higher one is a better place to cut."""

    SENTENCE = 0
    LINE = 1
    PARAGRAPH = 2
    SECTION = 3


@dataclass
class _Piece:
    """An unbroken part: a sentence, an item of a list, a row of a table, a heading.

    - `binds` keeps the piece with the next one.
    - `level` is a heading's, from 1.
    - `table` is the start and the end of the first row of a row's table.
    """

    start: int
    end: int
    before: _Break
    binds: bool = False
    level: int = 0
    table: tuple[int, int] | None = None


_LINE = re.compile(r"[^\n]*+\n|[^\n]++")
_WORD = re.compile(r"\S")
_LAST_BLANK = re.compile(r".*[^\S\u00a0\u202f]", re.DOTALL)
_HEADING = re.compile(r"[ ]{0,3}(#{1,6})[ \t]++[^\s#]")
_UNDERLINE = re.compile(r"[ ]{0,3}(?:={3,}+|-{3,}+|~{3,}+|\*{3,}+|\^{3,}+)\s*+$")
_UNDERLINES = "*=-~^"
_FENCE = re.compile(r"[ \t]*+(?:```|~~~)")
_ROW = re.compile(r"[ \t]*+\|")
_RULE = re.compile(r"[ \t]*+\|[ \t:|-]*+\s*+$")
_ITEM = re.compile(r"[ \t]*+(?:[-*+•◦\u2013\u2014]|\(?[0-9]{1,3}[.)]|\(?[A-Za-z][.)])[ \t\u00a0]")

# Runs match whole, from their first character alone; else a megabyte of dots takes hours.
_SENTENCE_END = re.compile(
    r"(?P<end>(?<![.!?…])(?P<marks>[.!?…]++)(?:\s?»|[\"'”\u2019)\]*_])*+)\s++"
    r"|(?P<wide>[。\uff01\uff1f]++[」』”\uff09]*+)\s*+"
)
_LAST_WORD = re.compile(r"[^\s()\[\]«»“”\"'\u2019]+$")
_LOOK_BACK = 16
_INITIALS = re.compile(r"[A-ZÀ-Þ]|[^\W\d_](?:\.-?[^\W\d_])+")
_ABBREVIATIONS = frozenset(
    """
    approx ave capt corp dept dr esp gen gov hon inc jr lt ltd mr mrs ms mt prof rev sen sgt sr st
    av bd boul bull env éd éds janv févr avr juil mgr mlle mlles mm mme mmes réf ste suiv tél trad
    al cf ed eds ex fasc fr hist ibid univ vs viz
    """.split()  # noqa: SIM905 - words are easier to read than a list of strings
)
_BEFORE_A_NUMBER = frozenset(
    """
    app art arts ch chap col eq fig figs ill ln no nos p par para pp pt sec sect t v vol vols
    """.split()  # noqa: SIM905 - words are easier to read than a list of strings
)


def cut_passages(text: str, longest: int = MAX_PASSAGE) -> list[Passage]:
    """Cut a text into passages of at most `longest` characters, in linear time.

    Every character other than white space is in exactly one passage. Cuts fall between sections,
    else paragraphs, else lines of a list or a table, else sentences. A sentence is cut only when
    longer than a passage. A heading is in the passage of the text below it.
    """
    passages: list[Passage] = []
    headings: list[tuple[int, str]] = []
    for group in _groups(_pieces(text, longest), longest):
        above = None
        for piece in group:
            if piece.level:
                while headings and headings[-1][0] >= piece.level:
                    headings.pop()
                headings.append((piece.level, _title(text[piece.start : piece.end])))
            elif above is None:
                above = _path(headings)
        start, end = group[0].start, group[-1].end
        heading = _path(headings) if above is None else above
        table = group[0].table
        if table and table[0] < start:
            header = " ".join(text[slice(*table)].split())[:MAX_HEADER]
            heading = f"{heading} > {header}" if heading else header
        passages.append(Passage(len(passages), text[start:end], heading, start, end))
    return passages


def _title(heading: str) -> str:
    """Return a heading's words, without its marks."""
    words = heading.partition("\n")[0].strip("# \t\r").split()
    return " ".join(words)[:MAX_HEADING]


def _path(headings: Sequence[tuple[int, str]]) -> str:
    """Return the headings, outermost first, without the outer ones that do not fit."""
    path = ""
    for _, title in reversed(headings):
        longer = f"{title} > {path}" if path else title
        if len(longer) > MAX_HEADING:
            break
        path = longer
    return path


def _groups(pieces: Iterable[_Piece], longest: int) -> Iterator[list[_Piece]]:
    """Yield the pieces of each passage."""
    group: list[_Piece] = []
    for piece in pieces:
        section = piece.before is _Break.SECTION and group and not group[-1].binds
        if section and piece.start - group[0].start >= longest // 4:
            yield group
            group = []
        while group and piece.end - group[0].start > longest:
            best = _best_cut(group, piece, longest)
            yield group[:best]
            group = group[best:]
        group.append(piece)
    if group:
        yield group


def _best_cut(group: list[_Piece], following: _Piece, longest: int) -> int:
    """Return the number of pieces of a passage, since the following piece does not fit."""

    def rank(count: int) -> tuple[bool, bool, _Break, int]:
        after = group[count] if count < len(group) else following
        half_full = after.start - group[0].start >= longest // 2
        return not group[count - 1].binds, half_full, after.before, count

    return max(range(1, len(group) + 1), key=rank)


def _pieces(text: str, longest: int) -> Iterator[_Piece]:
    """Yield the pieces of a text in order, none longer than `longest`."""
    for block in _records(text) if _is_csv(text) else _blocks(text):
        spans = [(block.start, block.end)]
        if not (block.whole or block.level) or block.end - block.start > longest:
            spans = [
                span
                for sentence in _sentences(text, block.start, block.end)
                for span in _parts(text, *sentence, longest)
            ]
        for number, (start, end) in enumerate(spans):
            last = number == len(spans) - 1
            yield _Piece(
                start,
                end,
                before=_Break.SENTENCE if number else block.before,
                binds=last and (block.binds or bool(block.level) or text[end - 1] == ":"),
                level=block.level if number == 0 else 0,
                table=block.table,
            )


@dataclass
class _Block:
    """A paragraph, item, row or heading; a `whole` one is cut only when too long."""

    start: int
    end: int
    before: _Break
    whole: bool = False
    grows: bool = True
    lines: int = 1
    binds: bool = False
    level: int = 0
    table: tuple[int, int] | None = None


def _is_csv(text: str) -> bool:
    """Whether a text is rows of CSV; rows between bars are a table within a text."""
    return not _ROW.match(text) and media_types.is_csv(text)


def _records(text: str) -> Iterator[_Block]:
    """Yield the rows of a CSV, whose quoted cells may have line ends."""
    header: tuple[int, int] | None = None
    start, quotes = 0, 0
    for match in _LINE.finditer(text):
        quotes += match[0].count('"')
        if quotes % 2 and match.end() < len(text):
            continue
        record = text[start : match.end()]
        if not record.isspace():
            end = start + len(record.rstrip())
            start += len(record) - len(record.lstrip())
            yield _Block(start, end, _Break.LINE, whole=True, table=header)
            names_delimiter = re.match(media_types.DELIMITER_LINE, record) is not None
            header = header or (None if names_delimiter else (start, end))
        start, quotes = match.end(), 0


@dataclass(frozen=True)
class _Line:
    """The kind of a line: a block of its own (`alone`), the first of an `item`, or neither.

    A `row` is of a table, and a block of its own.
    """

    alone: bool
    row: bool
    item: bool
    fence: bool
    level: int


def _read(line: str, *, fenced: bool) -> _Line:
    """Return the kind of a line, inside a fence or outside."""
    fence = _FENCE.match(line) is not None
    heading = None if fenced else _HEADING.match(line)
    row = not fenced and _ROW.match(line) is not None
    alone = fenced or fence or heading is not None or row
    item = not alone and _ITEM.match(line) is not None
    return _Line(alone, row, item, fence, len(heading[1]) if heading else 0)


def _blocks(text: str) -> Iterator[_Block]:
    """Yield the blocks of a text, without the white space around them."""
    block: _Block | None = None
    before = _Break.SECTION
    fenced = in_list = False
    table: tuple[int, int] | None = None
    for match in _LINE.finditer(text):
        line = match[0]
        if line.isspace():
            if block:
                yield block
            block, before, table = None, max(before, _Break.PARAGRAPH), None
            continue
        end = match.start() + len(line.rstrip())
        read = _read(line, fenced=fenced)
        if block and _is_underlined(text, block, line):
            block.level = _UNDERLINES.index(line.strip()[0]) + 1
            block.end, block.before, block.grows = end, _Break.SECTION, False
            continue
        if block and block.grows and not (read.alone or read.item):
            block.end = end
            block.lines += 1
            continue
        if block:
            block.binds = block.binds or (not fenced and _is_rule(line))
            yield block
        if read.level:
            before = _Break.SECTION
        elif read.item and in_list:
            before = _Break.LINE
        fenced ^= read.fence
        block = _Block(
            start=match.start() + len(line) - len(line.lstrip()),
            end=end,
            before=before,
            whole=read.alone or read.item,
            grows=not read.alone,
            binds=fenced if read.fence else read.alone and not fenced and _is_rule(line),
            level=read.level,
            table=table if read.row else None,
        )
        table = (table or (block.start, end)) if read.row else None
        before, in_list = _Break.LINE, read.item
    if block:
        yield block


def _is_underlined(text: str, block: _Block, line: str) -> bool:
    """Whether the line underlines the block before it, which makes that a heading."""
    return (
        block.grows
        and not block.whole
        and block.lines == 1
        and block.end - block.start <= MAX_HEADING
        and _UNDERLINE.match(line) is not None
        and text[block.end - 1] not in _UNDERLINES
    )


def _is_rule(line: str) -> bool:
    """Whether the line is the rule under a table's first row."""
    return "-" in line and _RULE.match(line) is not None


def _sentences(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each sentence between two positions."""
    for match in _SENTENCE_END.finditer(text, start, end):
        if match["wide"] or _is_end(text, start, match):
            yield start, match.end("wide" if match["wide"] else "end")
            start = match.end()
    if start < end:
        yield start, end


def _is_end(text: str, start: int, match: re.Match[str]) -> bool:
    """Whether marks and their white space end the sentence that began at `start`."""
    following = text[match.end()]
    if following.islower():
        return False
    if match["marks"] != ".":
        return True
    dot = match.start()
    if dot - start < _LOOK_BACK and text[start:dot].isdecimal():
        return False  # a number before a title, as in "1. Introduction"
    match_of_word = _LAST_WORD.search(text[max(start, dot - _LOOK_BACK) : dot])
    word = match_of_word[0] if match_of_word else ""
    return not (
        word.lower() in _ABBREVIATIONS
        or (following.isdecimal() and word.lower() in _BEFORE_A_NUMBER)
        or _INITIALS.fullmatch(word)
    )


def _parts(text: str, start: int, end: int, longest: int) -> Iterator[tuple[int, int]]:
    """Yield parts of at most `longest`, cut at a line's end, else between words, else anywhere."""
    while end - start > longest:
        window = text[start : start + longest + 1]
        at = window.rfind("\n", longest // 2)
        if at < 0:
            blank = _LAST_BLANK.match(window)
            at = blank.end() - 1 if blank else longest
        yield start, start + len(window[:at].rstrip())
        start += at
        word = _WORD.search(text, start, end)
        start = word.start() if word else end
    yield start, end
