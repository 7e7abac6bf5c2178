"""Numbers and dates as a spreadsheet shows them (ECMA-376, part 1, 18.8.31).

Forms that depend on the reader's country are the same for all: a point before decimals, commas
between thousands, English names of months and days, and dates as `2026-11-30` where the file has no
form of its own.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction
from functools import lru_cache
from math import isfinite

_BUILT_IN = {
    0: "General",
    1: "0",
    2: "0.00",
    3: "#,##0",
    4: "#,##0.00",
    5: "#,##0",
    6: "#,##0",
    7: "#,##0.00",
    8: "#,##0.00",
    9: "0%",
    10: "0.00%",
    11: "0.00E+00",
    12: "# ?/?",
    13: "# ??/??",
    14: "yyyy-mm-dd",
    15: "d-mmm-yy",
    16: "d-mmm",
    17: "mmm-yy",
    18: "h:mm AM/PM",
    19: "h:mm:ss AM/PM",
    20: "h:mm",
    21: "h:mm:ss",
    22: "yyyy-mm-dd hh:mm",
    **dict.fromkeys([*range(27, 32), 36, *range(50, 55), 57, 58], "yyyy-mm-dd"),
    **dict.fromkeys([*range(32, 36), 55, 56], "h:mm:ss"),
    37: "#,##0;(#,##0)",
    38: "#,##0;(#,##0)",
    39: "#,##0.00;(#,##0.00)",
    40: "#,##0.00;(#,##0.00)",
    41: "#,##0;-#,##0;-",
    42: "#,##0;-#,##0;-",
    43: "#,##0.00;-#,##0.00;-",
    44: "#,##0.00;-#,##0.00;-",
    45: "mm:ss",
    46: "[h]:mm:ss",
    47: "mm:ss.0",
    48: "##0.0E+0",
    49: "@",
}
"""The formats that files name by number alone; dates of East Asia in one of their forms."""

_MAX_FORMAT = 255  # characters: Excel's own bound
_MAX_PLACES = 30
_TOKEN = re.compile(
    r'"([^"]*)"?'  # a literal
    r"|\\(.)"
    r"|_."  # a space as wide as a character
    r"|\*."  # a character that fills the cell
    r"|\[([^\]]*)\]"
    r"|(?i:(General|AM/PM|A/P|y+|m+|d+|h+|s+|e[+-]|a{3,}|b+|e+|g+))"
    r"|(.)",
    re.DOTALL,
)
_NUMBER = re.compile(r"[-+]?(?:[0-9]{1,400}\.?[0-9]{0,400}|\.[0-9]{1,400})(?:[eE][-+]?[0-9]{1,3})?")
_ELAPSED = re.compile(r"h+|m+|s+")
_CONDITION = re.compile(r"(<=|>=|<>|<|>|=)\s*(-?[0-9]+(?:\.[0-9]+)?)$")
_LEAST_PLAIN, _MOST_PLAIN, _MOST_EXACT = 1e-4, 1e11, 1e15
_MIN_WITH_ZERO = 3
"""Sections of a format whose third is that of zero."""
_EPOCH, _EPOCH_1904 = datetime(1899, 12, 30), datetime(1904, 1, 1)  # noqa: DTZ001 - local to all
_LAST_DAY = 2_958_466  # of the year 9999


def is_number(text: str) -> bool:
    """Whether a value of a file is a number that can be shown."""
    return _NUMBER.fullmatch(text) is not None and isfinite(float(text))


def built_in(number: int) -> str:
    """Return the format of a number that every file may use; General for unknown ones."""
    return _BUILT_IN.get(number, "General")


def show(value: float, number_format: str, *, from_1904: bool = False) -> str:
    """Return a number in a format; in General where the format cannot be followed."""
    if len(number_format) > _MAX_FORMAT:
        return general(value)
    section, shown = _choose(number_format or "General", value)
    if section.is_date:
        return _show_date(value, section, from_1904=from_1904)
    return _show_number(shown, section)


def general(value: float) -> str:
    """Return a number as a cell without a format shows it, in eleven characters or its integer."""
    size = abs(value)
    if value == int(value) and size < _MOST_EXACT:
        return str(int(value))
    if _LEAST_PLAIN <= size < _MOST_PLAIN:
        shown = f"{value:.{9 if size < 1 else max(0, 10 - len(str(int(size))))}f}"
        return shown.rstrip("0").rstrip(".") if "." in shown else shown
    digits, _, exponent = f"{value:.5E}".partition("E")
    return f"{digits.rstrip('0').rstrip('.')}E{exponent}"


# --- formats --------------------------------------------------------------------------------------

type Token = tuple[str, str]
"""A kind (text, mark, date, era, elapsed, or general) and its characters.

Of a number, those of `era` are text.
"""


@dataclass(frozen=True)
class _Section:
    tokens: tuple[Token, ...]
    condition: tuple[str, float] | None
    is_date: bool


def _choose(number_format: str, value: float) -> tuple[_Section, float]:
    """Return the section for a value, and what it shows: a section of negatives has a sign."""
    sections = _parse(number_format)
    numbers = sections[:3]
    if any(section.condition for section in numbers):
        for section in numbers:
            if section.condition is None or _holds(section.condition, value):
                return section, value
        return _GENERAL, value
    if value < 0 and len(numbers) > 1:
        return numbers[1], -value
    if value == 0 and len(numbers) == _MIN_WITH_ZERO:
        return numbers[2], value
    return numbers[0], value


def _holds(condition: tuple[str, float], value: float) -> bool:
    sign, bound = condition
    return {
        "<": value < bound,
        "<=": value <= bound,
        ">": value > bound,
        ">=": value >= bound,
        "=": value == bound,
        "<>": value != bound,
    }[sign]


@lru_cache(maxsize=256)
def _parse(number_format: str) -> tuple[_Section, ...]:
    tokens: list[Token] = []
    condition: tuple[str, float] | None = None
    sections: list[_Section] = []
    for match in _TOKEN.finditer(number_format):
        literal, escaped, bracket, word, mark = match.groups()
        if mark == ";":
            sections.append(_section(tokens, condition))
            tokens, condition = [], None
        elif bracket is not None:
            condition = _take_bracket(bracket, tokens) or condition
        elif literal is not None or escaped is not None:
            tokens.append(("text", literal if escaped is None else escaped))
        elif word is not None:
            tokens.append(_word(word))
        elif mark is not None:
            tokens.append(("mark" if mark in "0#?.,%/@" else "text", mark))
    return (*sections, _section(tokens, condition))


def _section(tokens: list[Token], condition: tuple[str, float] | None) -> _Section:
    has_digits = any(_is_digit(token) for token in tokens)
    is_date = any(
        kind in {"date", "elapsed"} or (kind == "era" and not has_digits) for kind, _ in tokens
    )
    return _Section(tuple(tokens), condition, is_date)


def _word(word: str) -> Token:
    lower = word.lower()
    if lower == "general":
        return "general", ""
    if lower in {"e+", "e-"}:
        return "mark", "E"
    if lower[0] in "beg" or lower.startswith("aaa"):
        return "era", word
    return "date", lower


def _take_bracket(bracket: str, tokens: list[Token]) -> tuple[str, float] | None:
    """Take a currency or an elapsed time as a token; return a condition; pass over the others."""
    if bracket.startswith("$"):
        tokens.append(("text", bracket[1:].partition("-")[0]))
    elif _ELAPSED.fullmatch(bracket.lower()):
        tokens.append(("elapsed", bracket.lower()))
    elif condition := _CONDITION.match(bracket):
        return condition[1], float(condition[2])
    return None


_GENERAL = _Section((("general", ""),), None, is_date=False)

# --- numbers --------------------------------------------------------------------------------------


def _show_number(value: float, section: _Section) -> str:
    marks = "".join(mark for kind, mark in section.tokens if kind == "mark")
    if not any(mark in "0#?" for mark in marks):
        return _show_words(value, section)
    value *= 100.0 ** min(marks.count("%"), 9)
    if "/" in marks:
        text = _replace_marks(section.tokens, _fraction(abs(value), marks))
    elif "E" in marks:
        text = _replace_marks(section.tokens, _scientific(abs(value), marks))
    else:
        text = _decimal(abs(value), section.tokens)
    is_negative = value < 0 and any(digit in text for digit in "123456789")
    return ("-" if is_negative else "") + text.strip()


def _replace_marks(tokens: tuple[Token, ...], number: str) -> str:
    """Return a section's words around its number, which stands for all marks."""
    out: list[str] = []
    for kind, mark in tokens:
        if kind != "mark" or mark == "%":
            out.append(mark)
        elif number:
            out.append(number)
            number = ""
    return "".join(out)


def _show_words(value: float, section: _Section) -> str:
    """Return a number in a section without digits: its words, and the number where one is named."""
    return "".join(
        general(value) if kind == "general" or mark == "@" else mark
        for kind, mark in section.tokens
    ).strip()


def _decimal(value: float, tokens: tuple[Token, ...]) -> str:
    """Return a number with its digits in the places of the marks, and the words between them."""
    point = tokens.index(("mark", ".")) if ("mark", ".") in tokens else len(tokens)
    left, right = tokens[:point], tokens[point + 1 :]
    digits = [at for at, token in enumerate(tokens) if _is_digit(token)]
    commas = [at for at, token in enumerate(tokens) if token == ("mark", ",")]
    thousands = sum(at > digits[-1] for at in commas)
    places = sum(map(_is_digit, right))
    if places > _MAX_PLACES:
        return general(value)
    whole, _, rest = _round(value / 1000.0**thousands, places).partition(".")
    grouped = any(digits[0] < at < min(digits[-1], point) for at in commas)
    text = _whole(whole.lstrip("0"), left, grouped=grouped)
    decimals = _decimals(rest, right)
    return f"{text}.{decimals}" if decimals[:1].isdecimal() else text + decimals


def _is_digit(token: Token) -> bool:
    return token[0] == "mark" and token[1] in "0#?"


def _whole(digits: str, tokens: tuple[Token, ...], *, grouped: bool) -> str:
    """Return the digits before the point, set from the right; the first mark takes all others."""
    out: list[str] = []
    first = next((at for at, token in enumerate(tokens) if _is_digit(token)), -1)
    count = 0

    def add(digit: str) -> None:
        nonlocal count
        if grouped and count and count % 3 == 0:
            out.append(",")
        count += 1
        out.append(digit)

    for at in range(len(tokens) - 1, -1, -1):
        kind, mark = tokens[at]
        if not _is_digit(tokens[at]):
            out.append("" if kind == "mark" and mark == "," else mark)
            continue
        if digits or mark == "0":
            add(digits[-1:] or "0")
            digits = digits[:-1]
        while at == first and digits:
            add(digits[-1])
            digits = digits[:-1]
    return "".join(text[::-1] for text in out)[::-1]


def _decimals(digits: str, tokens: tuple[Token, ...]) -> str:
    """Return the digits behind the point, without the zeros at the end that have no place."""
    out: list[str] = []
    for kind, mark in tokens:
        if _is_digit((kind, mark)):
            out.append(digits[:1] if mark == "0" or digits.strip("0") else "")
            digits = digits[1:]
        elif (kind, mark) != ("mark", ","):
            out.append(mark)
    return "".join(out)


def _round(value: float, places: int) -> str:
    """Return a number as rounded by a spreadsheet: halves of its 15 digits away from zero."""
    if value >= _MOST_EXACT:
        return f"{value:.0f}" + ("." + "0" * places if places else "")
    exact = Decimal(f"{value:.15g}").quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP, _DIGITS)
    return f"{exact:f}"


_DIGITS = Context(prec=60)


def _scientific(value: float, marks: str) -> str:
    digits, _, exponent = marks.replace("%", "").partition("E")
    places = min(len(digits.partition(".")[2]), _MAX_PLACES)
    mantissa, _, power = f"{value:.{places}E}".partition("E")
    return f"{mantissa}E{power[0]}{power[1:].lstrip('0').zfill(max(1, len(exponent)))}"


def _fraction(value: float, marks: str) -> str:
    before, _, below = marks.partition("/")
    most = 10 ** min(max(1, len(below)), 4) - 1
    if value >= _MOST_EXACT:
        return general(value)
    size = Fraction(value).limit_denominator(most)
    has_whole = len(before) > len(below)
    whole, rest = divmod(size.numerator, size.denominator) if has_whole else (0, size.numerator)
    parts = [str(whole)] if whole or not rest else []
    parts += [f"{rest}/{size.denominator}"] if rest else []
    return " ".join(parts)


# --- dates ----------------------------------------------------------------------------------------

_DAY_THAT_NEVER_WAS = 60
"""The 29th of February 1900, in which Excel believes."""
_DIRECTIVES = {
    "y": ("%y", "%y", "%Y"),
    "m": ("%m", "%m", "%b", "%B"),
    "d": ("%d", "%d", "%a", "%A"),
    "h": ("%H",),
    "s": ("%S",),
}
"""The directives of a letter, once or several times; Python's locale is none."""


def _show_date(value: float, section: _Section, *, from_1904: bool) -> str:
    if not 0 <= value < _LAST_DAY:
        return general(value)
    tokens = section.tokens
    places = _places_of_seconds(tokens)
    milliseconds = round(value * 86_400 * 10**places) * 10 ** (3 - places)
    epoch = _EPOCH_1904 if from_1904 else _EPOCH
    if not from_1904 and value < _DAY_THAT_NEVER_WAS:
        epoch += timedelta(days=1)
    try:
        time = epoch + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return general(value)
    half = any(kind == "date" and mark in {"am/pm", "a/p"} for kind, mark in tokens)
    out: list[str] = []
    for at, (kind, mark) in enumerate(tokens):
        if kind == "elapsed":
            out.append(_elapsed(milliseconds, mark))
        elif kind == "date":
            out.append(_date_part(time, mark, half=half, minutes=_is_minutes(tokens, at)))
        elif kind == "mark" and mark == "0" and places:
            continue
        elif kind == "mark" and mark == "." and places:
            out.append(f".{time.microsecond // 1000:03}"[: places + 1])
        elif kind == "general":
            out.append(general(value))
        else:
            out.append(_other_part(time, kind, mark))
    return "".join(out).strip()


def _places_of_seconds(tokens: tuple[Token, ...]) -> int:
    """Return the places of fractions of a second, up to three: the zeros after a point."""
    marks = "".join(mark if kind == "mark" else " " for kind, mark in tokens)
    found = re.search(r"\.(0{1,3})", marks)
    return len(found[1]) if found else 0


def _is_minutes(tokens: tuple[Token, ...], at: int) -> bool:
    """Whether an `m` is of minutes: after hours, or before seconds."""
    parts = [
        (place, mark) for place, (kind, mark) in enumerate(tokens)
        if kind in {"date", "elapsed"} and mark not in {"am/pm", "a/p"}
    ]  # fmt: skip
    order = next((number for number, (place, _) in enumerate(parts) if place == at), 0)
    before = parts[order - 1][1] if order else ""
    after = parts[order + 1][1] if order + 1 < len(parts) else ""
    return before.startswith("h") or after.startswith("s")


def _elapsed(milliseconds: int, mark: str) -> str:
    unit = {"h": 3_600_000, "m": 60_000, "s": 1000}[mark[0]]
    return str(milliseconds // unit).zfill(len(mark))


def _other_part(time: datetime, kind: str, mark: str) -> str:
    """Return a text, or a part that depends on no other."""
    if kind == "era":
        return _era_part(time, mark.lower())
    return "" if mark == "@" else mark


def _era_part(time: datetime, mark: str) -> str:
    """Return a year or a day in the forms of East Asia: the year is never that of an era."""
    match mark[0]:
        case "a":
            return time.strftime("%a" if len(mark) == _SHORT_DAY else "%A")
        case "e":
            return f"{time.year:04}"
        case "b":
            year = f"{time.year + _BUDDHIST:04}"
            return year if len(mark) > _SHORT_YEAR else year[-2:]
        case _:  # the name of an era
            return ""


_SHORT_DAY, _SHORT_YEAR = 3, 2
_BUDDHIST = 543
"""Years from the Buddha's to our calendar, as Thailand counts."""


def _date_part(time: datetime, mark: str, *, half: bool, minutes: bool) -> str:
    letter = mark[0]
    if letter == "a":  # "am/pm" or "a/p"
        return time.strftime("%p")[: len(mark) // 2]
    if mark == "mmmmm":
        return time.strftime("%B")[0]
    of_letter = _DIRECTIVES[letter]
    directive = of_letter[min(len(mark), len(of_letter)) - 1]
    if letter == "m" and minutes and directive == "%m":
        directive = "%M"
    elif letter == "h" and half:
        directive = "%I"
    shown = time.strftime(directive)
    return shown if len(mark) > 1 or letter == "y" else shown.lstrip("0") or "0"
