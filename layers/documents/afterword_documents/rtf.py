"""The text of an RTF (Rich Text Format Specification 1.9.1), read as a stream of its tokens."""

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from afterword_documents.lines import Kind, Lines, Part
from afterword_documents.verdicts import MAX_CHARACTERS, Verdict, VerdictError

_TOKEN = re.compile(
    rb"\\([A-Za-z]{1,32})(-?[0-9]{1,10})?\x20?"
    rb"|\\'([0-9A-Fa-f]{2})"
    rb"|\\([^A-Za-z])"
    rb"|([{}])"
    rb"|([^\\{}\r\n\0]+)"
    rb"|[\r\n\0]+|\\"
)

_ENCODINGS = {
    **{
        f"windows-{page}": f"cp{page}"
        for page in (1250, 1251, 1252, 1253, 1254, 1255, 1256, 1257, 1258)
    },
    **{f"dos-{page}": f"cp{page}" for page in (437, 850, 852, 866, 874, 932, 936, 949, 950)},
    "johab": "johab",
    "mac": "mac_roman",
    **{f"mac-{name}": f"mac_{name}" for name in ("cyrillic", "greek", "latin2", "turkish")},
    "utf-8": "utf-8",
}
for _name in (
    *_ENCODINGS.values(),
    "utf-16-le",
):  # imported before the process gives up opening files
    codecs.lookup(_name)

_ANSI = "cp1252"
_CODE_PAGES = {
    **{int(name[2:]): name for name in _ENCODINGS.values() if name.startswith("cp")},
    1361: "johab",
    10000: "mac_roman",
    10001: "cp932",
    10002: "cp950",
    10003: "cp949",
    10006: "mac_greek",
    10007: "mac_cyrillic",
    10008: "cp936",
    10029: "mac_latin2",
    10081: "mac_turkish",
    65001: "utf-8",
}
_CHARACTER_SETS = {
    77: "mac_roman",
    78: "cp932",
    79: "cp949",
    80: "cp936",
    81: "cp950",
    85: "mac_greek",
    86: "mac_turkish",
    88: "mac_latin2",
    89: "mac_cyrillic",
    128: "cp932",
    129: "cp949",
    130: "johab",
    134: "cp936",
    136: "cp950",
    161: "cp1253",
    162: "cp1254",
    163: "cp1258",
    177: "cp1255",
    178: "cp1256",
    186: "cp1257",
    204: "cp1251",
    222: "cp874",
    238: "cp1250",
    254: "cp437",
    255: "cp850",
}
"""The encodings of a font's character sets; ANSI, default and symbols have none of their own."""
_SYMBOL_SET = 2
_DOCUMENT_SETS = {"mac": "mac_roman", "pc": "cp437", "pca": "cp850"}

_CHARACTERS = {
    "tab": "\t",
    "line": "\n",
    "softline": "\n",
    "lbr": "\n",
    "emdash": "\u2014",
    "endash": "\u2013",
    "emspace": "\u2003",
    "enspace": "\u2002",
    "qmspace": "\u2005",
    "bullet": "\u2022",
    "lquote": "\u2018",
    "rquote": "\u2019",
    "ldblquote": "\u201c",
    "rdblquote": "\u201d",
    "zwj": "\u200d",
    "zwnj": "\u200c",
}
_PARAGRAPH_ENDS = {"par", "sect", "page", "nestcell", "column"}
_SKIPPED = frozenset(
    """
    annotation atnauthor atnid atndate atrfend atrfstart author background bkmkend bkmkstart
    buptim category colortbl comment company creatim datafield dptxbxtext doccomm fldinst
    filetbl ftncn ftnsep ftnsepc aftncn aftnsep aftnsepc fontemb footer footerf footerl footerr
    formfield generator header headerf headerl headerr info keywords latentstyles listoverridetable
    listtable manager mmathPr nonesttables nonshppict objclass objdata objname operator pict
    printim private revtbl revtim rsidtbl rxe shprslt sp stylesheet subject tc template
    themedata title txe upr userprops xe xmlnstbl
    """.split()  # noqa: SIM905 - words are easier to read than a list of strings
)
"""Destinations without text that a reader sees, or with another form of it."""
_READ = frozenset({"shpinst", "listtext", "pntext", "fonttbl", "footnote", "ud"})
"""Destinations that are read although a reader may ignore them."""
_SYMBOLS = {
    0xA7: "\u25aa",
    0xA8: "\u2610",
    0xB7: "\u2022",
    0xE0: "\u2192",
    0xFB: "\u2717",
    0xFC: "\u2713",
    0xFE: "\u2611",
}
"""The characters of symbol fonts that texts have; others have no letter."""
_LEVELS = 9
_ASCII = 0x80
_SPACE, _LAST = 0x20, 0x10FFFF
_PRIVATE = range(0xF000, 0xF100)
"""The characters of symbol fonts, as Unicode has them."""


def text(content: bytes) -> str:
    """Return the text in order, then of its notes; raise VerdictError for too long a text."""
    reader = _Reader(content)
    reader.read()
    return reader.text()


@dataclass(slots=True)
class _Text:
    """The text of an open destination, whose group is the one at `depth`."""

    depth: int
    end: Callable[[str], None]
    parts: list[str] = field(default_factory=list)

    def take(self) -> str:
        """Return the text, and begin anew."""
        text = "".join(self.parts)
        self.parts.clear()
        if not text.isascii():
            # The halves of a surrogate pair come one by one.
            text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return text


@dataclass(slots=True)
class _Paragraph:
    """The properties of a paragraph, which hold until they are set anew."""

    level: int = 0
    list_level: int = 0
    in_table: bool = False


class _Reader:
    def __init__(self, content: bytes) -> None:
        self._content = content
        self._lines = Lines()
        self._notes: list[str] = []
        self._characters = 0
        self._bytes = bytearray()  # in one encoding, until something else comes
        self._fallbacks = 0  # characters left to skip, after their Unicode
        self._fonts: dict[int, int] = {}
        self._code_pages: dict[int, str] = {}
        self._encodings_of_fonts: set[str] = set()
        self._document_encoding = _ANSI
        self._default_font = 0
        self._ignorable = False
        self._body = _Text(0, self._end_line)
        self._texts = [self._body]
        self._paragraph = _Paragraph()
        self._mark = ""
        self._has_table = self._has_cell = False
        # Of a group:
        self._groups: list[tuple[bool, bool, int, int, bool]] = []
        self._skips = False
        self._in_fonts = False
        self._fallback_count = 1
        self._font = 0
        self._is_hidden = False

    def text(self) -> str:
        """Return the text so far."""
        self._flush()
        while len(self._texts) > 1:
            self._end_text()
        self._end_line(self._body.take())
        self._lines.close(Part.TABLE)
        for note in self._notes:
            self._lines.add(note)
        return self._lines.text()

    def read(self) -> None:
        """Read all tokens up to the end of the outermost group."""
        at, match = 0, _TOKEN.match
        while found := match(self._content, at):
            at = found.end()
            word, number, code, symbol, brace, plain = found.groups()
            if word:
                if word == b"bin":
                    at += max(0, int(number or 0))
                self._take_word(word.decode(), None if number is None else int(number))
            elif brace:
                if brace == b"{":
                    self._open_group()
                elif not self._close_group():
                    return
            elif code:
                self._take_bytes(bytes.fromhex(code.decode()))
            elif plain:
                self._take_bytes(plain)
            elif symbol:
                self._take_symbol(symbol)

    # --- groups -----------------------------------------------------------------------------------

    def _open_group(self) -> None:
        self._flush()
        self._fallbacks = 0
        self._groups.append(
            (self._skips, self._in_fonts, self._fallback_count, self._font, self._is_hidden)
        )

    def _close_group(self) -> bool:
        """Return to the group around this one; false at the end of the outermost."""
        self._flush()
        self._fallbacks = 0
        self._ignorable = False
        if len(self._texts) > 1 and self._texts[-1].depth == len(self._groups):
            self._end_text()
        if not self._groups:
            return False
        self._skips, self._in_fonts, self._fallback_count, self._font, self._is_hidden = (
            self._groups.pop()
        )
        return bool(self._groups)

    def _begin_text(self, end: Callable[[str], None]) -> None:
        self._texts.append(_Text(len(self._groups), end))

    def _end_text(self) -> None:
        ended = self._texts.pop()
        ended.end(ended.take())

    # --- tokens -----------------------------------------------------------------------------------

    def _take_symbol(self, symbol: bytes) -> None:
        if symbol == b"*":
            self._ignorable = True
        elif symbol in b"\\{}":
            self._take_bytes(symbol)
        elif symbol in b"\r\n":
            self._take_word("par", None)
        elif symbol == b"~":
            self._take_text("\u00a0")
        elif symbol == b"_":
            self._take_text("-")
        elif symbol == b"\t":
            self._take_text("\t")

    def _take_bytes(self, content: bytes) -> None:
        if self._fallbacks:
            skipped = min(self._fallbacks, len(content))
            self._fallbacks -= skipped
            content = content[skipped:]
        if not (self._skips or self._is_hidden or self._in_fonts):
            self._bytes += content

    def _take_text(self, text: str) -> None:
        self._flush()
        if self._fallbacks:
            self._fallbacks -= 1
        elif not (self._skips or self._is_hidden or self._in_fonts):
            self._add(text)

    def _add(self, text: str) -> None:
        self._characters += len(text)
        if self._characters > MAX_CHARACTERS:
            raise VerdictError(Verdict.TOO_LONG)
        self._texts[-1].parts.append(text)

    def _flush(self) -> None:
        """Decode the bytes that have come, in the encoding of their font."""
        if not self._bytes:
            return
        content = bytes(self._bytes)
        self._bytes.clear()
        if self._fonts.get(self._font) == _SYMBOL_SET and not content.isascii():
            self._add(
                "".join(_SYMBOLS.get(byte, chr(byte) if byte < _ASCII else "") for byte in content)
            )
        else:
            self._add(content.decode(self._encoding(), "replace"))

    def _encoding(self) -> str:
        if self._font in self._code_pages:
            return self._code_pages[self._font]
        of_font = self._fonts.get(self._font, 1)
        # Simple writers give the code page of the document alone, and ANSI to each font.
        if of_font == 0 and self._document_encoding in self._encodings_of_fonts:
            return _ANSI
        return _CHARACTER_SETS.get(of_font, self._document_encoding)

    # --- control words ----------------------------------------------------------------------------

    def _take_word(self, word: str, number: int | None) -> None:
        self._flush()
        ignorable, self._ignorable = self._ignorable, False
        if word == "ud" and len(self._groups) > 1:
            self._skips = self._groups[-2][0]  # of the group around both forms of a text
        if self._skips:
            return
        if word in _SKIPPED or (ignorable and word not in _READ):
            self._skips = True
        elif self._in_fonts:
            self._take_word_of_font(word, number or 0)
        elif word == "u":
            self._take_unicode(0xFFFD if number is None else number)
        elif word in _CHARACTERS:
            self._take_text(_CHARACTERS[word])
        elif word in _PARAGRAPH_ENDS:
            self._end_paragraph()
        elif not self._take_word_of_characters(word, number):
            self._take_word_of_paragraph(word, number or 0)

    def _take_unicode(self, number: int) -> None:
        code = number + 0x10000 if number < 0 else number
        self._fallbacks = 0
        if code in _PRIVATE:
            self._take_text(_SYMBOLS.get(code - _PRIVATE.start, ""))
        elif _SPACE <= code <= _LAST:
            self._take_text(chr(code))
        self._fallbacks = self._fallback_count

    def _take_word_of_font(self, word: str, number: int) -> None:
        match word:
            case "f":
                self._font = number
            case "fcharset":
                self._fonts[self._font] = number
                self._encodings_of_fonts.add(_CHARACTER_SETS.get(number, ""))
            case "cpg" if number in _CODE_PAGES:
                self._code_pages[self._font] = _CODE_PAGES[number]

    def _take_word_of_characters(self, word: str, number: int | None) -> bool:
        """Take a word that changes how characters are read; false for other words."""
        match word:
            case "ansicpg":
                self._document_encoding = _CODE_PAGES.get(number or 0, self._document_encoding)
            case "mac" | "pc" | "pca":
                self._document_encoding = _DOCUMENT_SETS[word]
            case "deff":
                self._default_font = self._font = number or 0
            case "uc":
                self._fallback_count = max(0, number or 0) if number is not None else 1
            case "f":
                self._font = number or 0
            case "plain":
                self._font = self._default_font
                self._is_hidden = False
            case "v" | "deleted":
                self._is_hidden = number != 0
            case "fonttbl":
                self._in_fonts = True
            case _:
                return False
        return True

    def _take_word_of_paragraph(self, word: str, number: int) -> None:
        match word:
            case "pard" if self._texts[-1] is self._body:
                self._paragraph = _Paragraph()
            case "intbl":
                self._paragraph.in_table = True
            case "outlinelevel" if 0 <= number < _LEVELS:
                self._paragraph.level = min(number + 1, 6)
            case "ilvl":
                self._paragraph.list_level = min(max(number, 0), 8)
            case "cell" | "row":
                self._end_part(word)
            case "shptxt":
                self._begin_text(self._add_box)
            case "listtext" | "pntext":
                self._begin_text(self._set_mark)
            case "footnote":
                self._begin_note()

    def _end_paragraph(self) -> None:
        if self._texts[-1] is self._body:
            self._end_line(self._body.take())
        else:
            self._add("\n")

    def _end_part(self, word: str) -> None:
        if word == "row":
            self._lines.close(Part.ROW)
            self._has_cell = False
        elif self._texts[-1] is self._body:
            self._end_cell()
        else:
            self._add("\t")

    def _end_cell(self) -> None:
        self._paragraph.in_table = True
        self._end_line(self._body.take())
        self._open_cell()  # which may be empty
        self._lines.close(Part.CELL)
        self._has_cell = False

    def _open_cell(self) -> None:
        if not self._has_table:
            self._lines.open(Part.TABLE)
            self._has_table, self._has_cell = True, False
        if not self._has_cell:
            self._lines.open(Part.CELL)
            self._has_cell = True

    def _end_line(self, text: str) -> None:
        text = text.strip()
        mark, self._mark = self._mark, ""
        if not text:
            return
        paragraph = self._paragraph
        if paragraph.in_table:
            self._open_cell()
        elif self._has_table:
            self._lines.close(Part.TABLE)
            self._has_table = False
        if paragraph.level and not paragraph.in_table:
            self._lines.add(f"{'#' * paragraph.level} {mark}{text}")
        elif mark:
            self._lines.add(f"{'  ' * paragraph.list_level}{mark}{text}", Kind.ITEM)
        else:
            self._lines.add(text)

    def _add_box(self, text: str) -> None:
        """Add the paragraphs of a text box, before the paragraph that it stands in."""
        for line in text.split("\n"):
            self._lines.add(line.strip())

    def _set_mark(self, text: str) -> None:
        mark = text.strip()
        self._mark = f"{mark if any(map(str.isalnum, mark)) else '-'} "

    def _begin_note(self) -> None:
        number = len(self._notes) + 1
        self._add(f"[{number}]")
        self._notes.append("")

        def end(text: str) -> None:
            self._notes[number - 1] = f"[{number}] {' '.join(text.split())}"

        self._begin_text(end)
