"""The characters of a text, by its byte order mark, its declaration or its bytes.

The rules are those of browsers (https://encoding.spec.whatwg.org), with these additions. UTF-8 wins
over a declaration that it contradicts. Control characters are dropped, and so are the escapes of
terminals.
"""

import codecs
import re

from afterword.files.encodings import is_good, marked_encoding

_SINGLE = (
    *("cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258"),
    *("cp437", "cp737", "cp775", "cp850", "cp852", "cp855", "cp857", "cp858", "cp860", "cp861"),
    *("cp862", "cp863", "cp864", "cp865", "cp866", "cp869", "cp874", "cp1125", "koi8-r", "koi8-u"),
    *("iso8859-2", "iso8859-3", "iso8859-4", "iso8859-5", "iso8859-6", "iso8859-7", "iso8859-8"),
    *("iso8859-10", "iso8859-13", "iso8859-14", "iso8859-15", "iso8859-16", "mac-roman"),
    *("mac-cyrillic", "mac-greek", "mac-latin2", "mac-turkish"),
)
_EAST_ASIAN = ("cp932", "euc_jp", "gb18030", "big5hkscs", "cp949", "johab")
_SHIFTED = ("iso2022_jp", "hz", "iso2022_kr")
"""Encodings that are ASCII bytes, whose escapes tell them."""
_KNOWN = frozenset({"utf-8", *_SINGLE, *_EAST_ASIAN, *_SHIFTED})
_WIDER = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "shift_jis": "cp932",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "big5": "big5hkscs",
    "cp950": "big5hkscs",
    "euc_kr": "cp949",
    "utf-16": "utf-8",  # a declaration in ASCII bytes cannot mean it
    "utf-16-le": "utf-8",
    "utf-16-be": "utf-8",
    "iso2022_jp_2": "iso2022_jp",
    "iso2022_jp_ext": "iso2022_jp",
}
"""The wider encodings that browsers mean by the names of narrower ones."""
_ALIASES = {
    alias: name
    for name, aliases in {
        "utf-8": "unicode-1-1-utf-8 unicode11utf8 unicode20utf8",
        "utf-16": "csunicode iso-10646-ucs-2 ucs-2 unicode unicodefeff unicodefffe",
        "iso8859-6": "csiso88596e csiso88596i iso-8859-6-e iso-8859-6-i",
        "iso8859-7": "sun_eu_greek",
        "iso8859-8": "csiso88598e csiso88598i iso-8859-8-e iso-8859-8-i logical visual",
        "iso8859-15": "csisolatin9",
        "koi8-r": "koi koi8",
        "koi8-u": "koi8-ru",
        "mac-roman": "csmacintosh mac macintosh",
        "mac-cyrillic": "mac-ukrainian",
        "cp874": "dos-874 windows-874",
        "gbk": "csgb2312 gb_2312 gb_2312-80 windows-936",
        "big5": "cn-big5 x-big5 windows-950",
        "euc_jp": "cseucpkdfmtjapanese",
        "euc_kr": (
            "cseuckr csksc56011987 iso-ir-149 ks_c_5601 ks_c_5601-1989 ksc_5601 windows-949"
        ),
    }.items()
    for alias in aliases.split()
}
"""Names that browsers know and Python does not, without a leading `x-`."""
_ISO = re.compile(r"iso8859([0-9]{1,2})")


def codec(label: str) -> str | None:
    """Return Python's codec of an encoding's name, as browsers know it; None for others."""
    label = label.strip().strip("\"'").lower()
    for name in (label, label.removeprefix("x-")):
        try:
            found = codecs.lookup(_ISO.sub(r"iso8859-\1", _ALIASES.get(name, name))).name
        except (LookupError, ValueError):
            continue
        found = _WIDER.get(found, found)
        return found if found in _KNOWN else None
    return None


def load() -> None:
    """Import all encodings, for a process that is about to give up opening files."""
    for name in (*_KNOWN, *_WIDER, "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"):
        codecs.lookup(name)


_DECLARATION = re.compile(rb"""\A\s*<\?xml[^>]{0,200}?\bencoding\s*=\s*["']([\w.:-]{1,40})""")
_META = re.compile(rb"""(?i)<meta\b[^>]{0,500}?\bcharset\s*=\s*["']?\s*([\w.:-]{1,40})""")
_HEADER = re.compile(
    rb"""(?i)\AHTTP/[\d.]+[^\n]*\n(?:[^\n]+\n){0,50}?content-type:[^\n]*charset="?([\w.:-]{1,40})"""
)
_DECLARED_WITHIN = 16_384


def declared(page: bytes) -> str:
    """Return the encoding that a page or an XML text declares; an empty text without one."""
    start = _without_comments(page[:_DECLARED_WITHIN].removeprefix(codecs.BOM_UTF8))
    for pattern in (_HEADER, _DECLARATION, _META):
        found = pattern.search(start)
        if found is not None:
            return found[1].decode("ascii", "replace")
    return ""


def _without_comments(page: bytes) -> bytes:
    kept = []
    while True:
        before, comment, page = page.partition(b"<!--")
        kept.append(before)
        if not comment:
            return b"".join(kept)
        page = page.partition(b"-->")[2]


def decode(content: bytes, label: str = "") -> str | None:
    """Return a text's characters as `decode_known` does, else those of windows-1252.

    None for bytes that hardly are windows-1252.
    """
    text = decode_known(content, label)
    if text is None and is_western(content):
        return clean(decode_by(content, "cp1252"))
    return text


def decode_known(content: bytes, label: str = "") -> str | None:
    """Return the characters of a text by its mark or its declaration, or of UTF-8; else None.

    `label` is the declared encoding. U+FFFD stands for single bytes that are none of the encoding.
    """
    unicode = marked_encoding(content)
    if unicode is not None:
        encoding, rest = unicode
        return clean(rest.decode(encoding, "replace"))
    named = codec(label)
    shifted = named if named in _SHIFTED else "iso2022_jp"
    if shifted == named or b"\x1b$B" in content or b"\x1b$@" in content:
        text = content.decode(shifted, "replace")
        if is_good(text):
            return clean(text)
    utf8 = content.decode("utf-8", "replace")
    if named in _EAST_ASIAN and (_others(utf8) < _BY_CHANCE or not is_good(utf8)):
        text = content.decode(named, "replace")
        if is_good(text):
            return clean(text)
    if is_good(utf8):
        return clean(utf8)
    return clean(decode_by(content, named)) if named in _SINGLE else None


def decode_by(content: bytes, name: str) -> str:
    """Return the characters of a text in a known encoding."""
    # The five bytes that windows-1252 leaves out are controls.
    return content.decode(name, "ignore" if name == "cp1252" else "replace")


_BY_CHANCE = 8
"""Characters beyond ASCII that are UTF-8 by chance, but in another encoding."""


def _others(text: str) -> int:
    """Return the number of characters beyond ASCII."""
    return len(text) - len(text.encode("ascii", "ignore"))


_BEYOND_ASCII = re.compile(rb"[\x80-\xff]")
_WESTERN = re.compile(
    rb"(?<=[A-Za-z])[\xc0-\xff\x8a\x8c\x8e\x9a\x9c\x9e]{1,2}(?![\x80-\xff])"  # café
    rb"|(?<![\x80-\xff])[\xc0-\xff\x8a\x8c\x8e\x9a\x9c\x9e]{1,2}(?=[A-Za-z])"  # Été
    rb"|(?<![^\s])[\xc0-\xff](?![^\s])"  # à
    rb"|(?<![\x80-\xff])[\x80\x85-\x87\x89\x91-\x97\x99\x9b\xa0-\xbf]{1,2}(?![\x80-\xff])"  # signs
    rb"|(?<![^\s(])[\x82\x84\x8b\xa1\xbf][\xc0-\xdf]?(?=[A-Za-z])"  # \u201eÜbung, ¿Qué
    rb"|[\x91-\x97][\xc0-\xff](?=[A-Za-z\s])"  # l\u2019été
    rb"|(?<=[A-Za-z])[\xc0-\xff][\x92-\x94](?![\x80-\xff])"  # Maß\u201c
)
_SPACED = bytes.maketrans(b"\xa0\xab\xbb", b"   ")  # signs that a space parts from words
_WESTERN_SAMPLE = 100_000
_WESTERN_SHARE = 0.8


def is_western(content: bytes) -> bool:
    """Whether a text may be windows-1252, whose letters beyond ASCII stand among letters of it.

    In other scripts nearly all letters are beyond ASCII.
    """
    sample = content[:_WESTERN_SAMPLE].translate(_SPACED)
    usual = sum(map(len, _WESTERN.findall(sample)))
    return usual >= _WESTERN_SHARE * len(_BEYOND_ASCII.findall(sample))


# --- control characters ---------------------------------------------------------------------------

_ESCAPES = re.compile(
    r"\x1b\[[0-?]{0,40}[ -/]{0,10}[@-~]"  # colours
    r"|\x1b\][^\x07\x1b\n]{0,200}(?:\x07|\x1b\\)"  # titles
    r"|[^\n]\x08"  # letters that are struck twice
)
_UNCLEAN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff\ufffe\uffff]")
_CLEANED = {
    **dict.fromkeys((*range(9), *range(0x0E, 0x20), 0x7F, 0xFEFF, 0xFFFE, 0xFFFF)),
    0x0B: "\n",
    0x0C: "\n",
    **{code: bytes([code]).decode("cp1252", "ignore") for code in range(0x80, 0xA0)},
}
"""Line ends for vertical tabs and form feeds; windows-1252 for the controls beyond ASCII."""


def clean(text: str) -> str:
    """Return a text without control characters but tabs and line ends."""
    if not _UNCLEAN.search(text):
        return text
    return _ESCAPES.sub("", text).translate(_CLEANED)
