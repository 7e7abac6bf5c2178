"""Regular expressions of tenants, matched by the linear engine of pydantic-core (Rust's regex).

Python's `re` may take exponential time, and lets no other thread run meanwhile. Rust's engine takes
time in proportion to the pattern's weight and the text's length, which are bounded here.
"""

import re

MAX_LENGTH = 1_000
"""Characters of a pattern."""
MAX_WEIGHT = 2_000
"""Characters and classes of a pattern, with each counted repetition written out."""
MAX_WORK = 5_000_000
"""The weight times the characters of one match: some 50 milliseconds."""

_TOKEN = re.compile(
    r"(?P<count>\{(?P<least>\d{0,9})(?P<range>,(?P<most>\d{0,9}))?\})"
    r"|\\[pPux]\{[^}]{0,99}\}|\\.|\(\?:|\(\?<\w{1,32}>|.",
    re.DOTALL,
)


class Pattern:
    """A pattern, searched anywhere in a text; raises ValueError for one beyond the bounds."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_LENGTH:
            raise ValueError(f"must have patterns of at most {MAX_LENGTH:,} characters")
        self._text = text
        self.weight = _weigh(text)
        if self.weight > MAX_WEIGHT:
            raise ValueError(
                f"must have patterns that repeat less than {_shorten(text)}: bound texts by"
                " maxLength"
            )

    def compile(self) -> None:
        """Compile the pattern; raise ValueError for one that the engine does not know."""
        from pydantic_core import SchemaError, SchemaValidator, core_schema

        schema = core_schema.str_schema(pattern=self._text, regex_engine="rust-regex")
        try:
            self._validator = SchemaValidator(schema)
        except SchemaError as error:
            raise ValueError(
                "must have regular expressions of a linear engine, without look-around and"
                f" backreferences, unlike {_shorten(self._text)}"
            ) from error

    def matches(self, text: str) -> bool:
        """Whether the compiled pattern is found in a text, for at most MAX_WORK."""
        return self._validator.isinstance_python(text)


def _weigh(text: str) -> int:
    """Return a pattern's weight; raise ValueError for flags, which could change its reading."""
    open_groups: list[int] = []
    total = last = in_class = 0
    for match in _TOKEN.finditer(text):
        mark = match[0]
        if in_class:
            in_class += (mark == "[") - (mark == "]")
        elif match["count"]:
            least = int(match["least"] or 0)
            most = least + 1 if match["range"] else least
            times = max(1, int(match["most"] or 0), most)
            total += last * (times - 1)
            last *= times
        elif mark == ")":
            before = open_groups.pop() if open_groups else 0
            total, last = before + total, total
        elif mark[0] == "(":
            if text.startswith("(?", match.start()) and mark == "(":
                raise ValueError(
                    f"must have patterns without flags and look-around, unlike {_shorten(text)}"
                )
            open_groups.append(total)
            total = last = 0
        elif mark not in {"*", "+", "?", "|"}:
            in_class = int(mark == "[")
            total += 1
            last = 1
    return total + sum(open_groups)


def _shorten(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:100]}…"  # noqa: PLR2004 - enough to be found
