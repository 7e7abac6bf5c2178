"""Numbers as Word writes them in lists (ECMA-376, part 1, 17.18.59, ST_NumberFormat)."""

import re
from collections.abc import Callable

_ROMAN = (
    *((1_000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l")),
    *((40, "xl"), (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i")),
)
_MAX_ROMAN = 32_767
_MAX_REPEATS = 30
_TEEN = 10
_RUSSIAN = "абвгдежзиклмнопрстуфхцчшщыэюя"
_STEMS, _BRANCHES = "甲乙丙丁戊己庚辛壬癸", "子丑寅卯辰巳午未申酉戌亥"
_SYLLABLES = "가나다라마바사아자차카타파하"
_JAMO = "ㄱㄴㄷㄹㅁㅂㅅㅇㅈㅊㅋㅌㅍㅎ"
_AIUEO = (
    "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワヲン"
)
_IROHA = (
    "イロハニホヘトチリヌルヲワカヨタレソツネナラム"
    "ウヰノオクヤマケフコエテアサキユメミシヱヒモセスン"
)
_ARABIC = "أبتثجحخدذرزسشصضطظعغفقكلمنهوي"
_DIGITS = "\u3007一二三四五六七八九"
_ZERO = _DIGITS[0]
_FULL_WIDTH = {ord("0") + digit: 0xFF10 + digit for digit in range(10)}


def roman(number: int) -> str:
    """Return a number in small Roman numerals; in digits where there are none."""
    if not 0 < number <= _MAX_ROMAN:
        return str(number)
    text = ""
    for value, letters in _ROMAN:
        text += letters * (number // value)
        number %= value
    return text


def _letters(alphabet: str) -> Callable[[int], str]:
    """Return the numerals of an alphabet: after z comes aa, then bb."""

    def write(number: int) -> str:
        repeats, letter = divmod(number - 1, len(alphabet))
        if not 0 <= repeats < _MAX_REPEATS:
            return str(number)
        return alphabet[letter] * (repeats + 1)

    return write


def _ordinal(number: int) -> str:
    tens, units = divmod(number % 100, 10)
    ending = {1: "st", 2: "nd", 3: "rd"}.get(units, "th") if tens != 1 else "th"
    return f"{number}{ending}"


_ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
    "nineteen",
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_IRREGULAR = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}


def _in_words(number: int) -> str:
    """Return a number in English words, up to 9,999, without a capital; else in digits."""
    if not 0 <= number < _TEEN**4:
        return str(number)
    words = []
    for size, name in ((1_000, "thousand"), (100, "hundred")):
        if number >= size:
            words += [_ONES[number // size], name]
            number %= size
    if number >= len(_ONES):
        tens, number = divmod(number, _TEEN)
        words.append(_TENS[tens - 2] + (f"-{_ONES[number]}" if number else ""))
    elif number or not words:
        words.append(_ONES[number])
    return " ".join(words)


def _ordinal_in_words(number: int) -> str:
    words = _in_words(number)
    if words[-1].isdecimal():
        return _ordinal(number)
    last = re.split("[ -]", words)[-1]
    ending = _IRREGULAR.get(last) or re.sub("y$", "ie", last) + "th"
    return words.removesuffix(last) + ending


def _counted(number: int) -> str:
    """Return a number as it is spoken in Chinese and Japanese, up to 9,999."""
    if not 0 < number < _TEEN**4:
        return "".join(_DIGITS[int(digit)] for digit in str(abs(number)))
    text = ""
    for power, unit in ((1_000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit, number = divmod(number, power)
        if digit:
            text += ("" if digit == 1 and power == _TEEN and not text else _DIGITS[digit]) + unit
        elif text and number and not text.endswith(_ZERO):
            text += _ZERO
    return text


def _counted_without_zeros(number: int) -> str:
    return _counted(number).replace(_ZERO, "") if number > 0 else _counted(number)


def _circled(number: int) -> str:
    return chr(0x2460 + number - 1) if 0 < number <= 20 else str(number)  # noqa: PLR2004 - ①…⑳


_WRITERS: dict[str, Callable[[int], str]] = {
    "decimalZero": "{:02}".format,
    "lowerLetter": _letters("abcdefghijklmnopqrstuvwxyz"),
    "upperLetter": _letters("ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
    "lowerRoman": roman,
    "upperRoman": lambda number: roman(number).upper(),
    "ordinal": _ordinal,
    "cardinalText": lambda number: _in_words(number).capitalize(),
    "ordinalText": lambda number: _ordinal_in_words(number).capitalize(),
    "hex": "{:X}".format,
    "numberInDash": "- {} -".format,
    "decimalFullWidth": lambda number: str(number).translate(_FULL_WIDTH),
    "decimalFullWidth2": lambda number: str(number).translate(_FULL_WIDTH),
    "decimalEnclosedCircle": _circled,
    "decimalEnclosedCircleChinese": _circled,
    "decimalEnclosedFullstop": "{}.".format,
    "decimalEnclosedParen": "({})".format,
    "russianLower": _letters(_RUSSIAN),
    "russianUpper": _letters(_RUSSIAN.upper()),
    "chineseCounting": _counted,
    "chineseCountingThousand": _counted,
    "taiwaneseCounting": _counted,
    "taiwaneseCountingThousand": _counted,
    "ideographDigital": lambda number: "".join(_DIGITS[int(each)] for each in str(abs(number))),
    "japaneseDigitalTenThousand": _counted_without_zeros,
    "japaneseCounting": _counted_without_zeros,
    "ideographTraditional": _letters(_STEMS),
    "ideographZodiac": _letters(_BRANCHES),
    "ganada": _letters(_SYLLABLES),
    "chosung": _letters(_JAMO),
    "aiueoFullWidth": _letters(_AIUEO),
    "aiueo": _letters(_AIUEO),
    "irohaFullWidth": _letters(_IROHA),
    "iroha": _letters(_IROHA),
    "arabicAlpha": _letters(_ARABIC),
}


def write(number: int, number_format: str, example: str = "") -> str:
    """Return a number in one of Word's formats: in digits for those that are not known.

    `example` is the start of a custom format's numbers, such as `001, 002, …`.
    """
    if number_format == "custom":
        first = example.partition(",")[0].strip()
        return str(number).zfill(len(first)) if first.isdecimal() else str(number)
    return _WRITERS.get(number_format, str)(number)
