"""Formulas as a line of text, such as `a^2/(b+c)`.

Those of Office are OMML (ECMA-376, part 1, 22.1), and those of pages MathML.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

_MAX_DEPTH = 50
"""Levels with structure; the text of deeper ones is joined as it comes."""
_SLOTS = frozenset({"num", "den", "e", "sub", "sup", "deg", "fName", "lim", "mr"})
_PROPERTIES = frozenset({"chr", "begChr", "endChr", "sepChr", "degHide", "pos"})
_ATOM = re.compile(r"[\w.,]*|.|\([^()]*\)")


@dataclass(slots=True)
class _Element:
    name: str
    texts: list[str] = field(default_factory=list)
    slots: dict[str, list[str]] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)

    def slot(self, name: str) -> str:
        """Return the text of a part of the element, which may lack it."""
        return "".join(self.slots.get(name, ()))

    def group(self, name: str) -> str:
        """Return the text of a part, in parentheses unless one value."""
        text = self.slot(name).strip()
        return text if _ATOM.fullmatch(text) else f"({text})"


class Formula:
    """A formula that is being read; names are those within its namespace."""

    def __init__(self) -> None:
        self._open = [_Element("oMath")]
        self._deeper = 0

    def start(self, name: str, value: str | None) -> None:
        """Take the start of an element, and the value of its attribute."""
        if name in _PROPERTIES and len(self._open) > 1:
            self._open[-2].properties[name] = value or ""
        if len(self._open) > _MAX_DEPTH:
            self._deeper += 1
        else:
            self._open.append(_Element(name))

    def end(self) -> None:
        """Take the end of an element."""
        if self._deeper:
            self._deeper -= 1
        elif len(self._open) > 1:
            element = self._open.pop()
            text = _write(element)
            if element.name in _SLOTS:
                self._open[-1].slots.setdefault(element.name, []).append(text)
            else:
                self._open[-1].texts.append(text)

    def characters(self, text: str) -> None:
        """Take a piece of a run's text."""
        self._open[-1].texts.append(text)

    def text(self) -> str:
        """Return the formula as a line."""
        while len(self._open) > 1:
            self.end()
        return _write(self._open[0])


_OFFICE = {
    "mfrac": ("f", ("num", "den")),
    "msup": ("sSup", ("e", "sup")),
    "msub": ("sSub", ("e", "sub")),
    "msubsup": ("sSubSup", ("e", "sub", "sup")),
    "munder": ("limLow", ("e", "lim")),
    "mover": ("limUpp", ("e", "lim")),
    "munderover": ("sSubSup", ("e", "sub", "sup")),
    "mroot": ("rad", ("e", "deg")),
}
"""Elements of MathML whose children have places, as those of Office and their parts."""
_ROWS = {"msqrt": ("rad", "e"), "mtable": ("m", ""), "mtr": ("mr", ""), "mtd": ("", "e")}
"""Elements of MathML with any number of children: the element of Office, or its part."""


@dataclass(slots=True)
class _Open:
    """An open element of MathML: its name, how many elements of Office, and the next place."""

    name: str
    elements: int
    places: tuple[str, ...] = ()


class MathML:
    """A formula of MathML that is being read, as one of Office."""

    def __init__(self) -> None:
        self._formula = Formula()
        self._open: list[_Open] = []

    def start(self, name: str) -> None:
        """Take the start of an element."""
        if len(self._open) == _MAX_OPEN:
            return
        wrappers = []
        if self._open and self._open[-1].places:
            place, *others = self._open[-1].places
            self._open[-1].places = tuple(others)
            wrappers.append(place)
        element, places = _OFFICE.get(name, ("", ()))
        wrappers += filter(None, (element, *_ROWS.get(name, ())))
        for wrapper in wrappers or (_PLAIN,):
            self._formula.start(wrapper, None)
        self._open.append(_Open(name, max(1, len(wrappers)), places))

    def end(self, name: str) -> None:
        """Take the end of an element, and with it those that lack theirs."""
        if all(each.name != name for each in self._open):
            return
        while self._open:
            element = self._open.pop()
            for _ in range(element.elements):
                self._formula.end()
            if element.name == name:
                break

    def characters(self, text: str) -> None:
        """Take a piece of text, whose white space around elements is none."""
        self._formula.characters(text.strip(" \t\r\n"))

    def text(self) -> str:
        """Return the formula as a line."""
        return self._formula.text()


_MAX_OPEN = 100
"""Open elements of MathML that are kept."""
_PLAIN = "mrow"
"""An element without parts, whose text is that of its children."""


def _write(element: _Element) -> str:
    """Return the text of an element whose parts are read."""
    write = _WRITERS.get(element.name)
    if write is not None:
        return write(element)
    slots = (text for texts in element.slots.values() for text in texts)
    return "".join((*element.texts, *slots))


def _write_root(element: _Element) -> str:
    has_degree = element.properties.get("degHide", "0") in {"0", "off", "false"}
    return f"{element.slot('deg') if has_degree else ''}√{element.group('e')}"


def _write_sum(element: _Element) -> str:
    below = f"_{element.group('sub')}" if element.slot("sub") else ""
    above = f"^{element.group('sup')}" if element.slot("sup") else ""
    return f"{element.properties.get('chr', '∫')}{below}{above} {element.slot('e')}"


def _write_delimited(element: _Element) -> str:
    of = element.properties.get
    inner = of("sepChr", "|").join(element.slots.get("e", ()))
    return f"{of('begChr', '(')}{inner}{of('endChr', ')')}"


def _write_accented(element: _Element) -> str:
    return f"{element.slot('e')}{element.properties.get('chr', _CIRCUMFLEX)}"


_CIRCUMFLEX = "\u0302"
_WRITERS: dict[str, Callable[[_Element], str]] = {
    "f": lambda each: f"{each.group('num')}/{each.group('den')}",
    "sSup": lambda each: f"{each.group('e')}^{each.group('sup')}",
    "sSub": lambda each: f"{each.group('e')}_{each.group('sub')}",
    "sSubSup": lambda each: f"{each.group('e')}_{each.group('sub')}^{each.group('sup')}",
    "sPre": lambda each: f"_{each.group('sub')}^{each.group('sup')}{each.group('e')}",
    "rad": _write_root,
    "nary": _write_sum,
    "d": _write_delimited,
    "func": lambda each: f"{each.slot('fName')} {each.slot('e')}",
    "limLow": lambda each: f"{each.slot('e')}_{each.group('lim')}",
    "limUpp": lambda each: f"{each.slot('e')}^{each.group('lim')}",
    "acc": _write_accented,
    "mr": lambda each: ", ".join(each.slots.get("e", ())),
    "m": lambda each: f"[{'; '.join(each.slots.get('mr', ()))}]",
    "eqArr": lambda each: "; ".join(each.slots.get("e", ())),
}
