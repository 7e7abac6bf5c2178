"""Words by which the errors of providers are told apart."""

import re
from functools import cached_property


class Words:
    """Patterns of words, any of which may begin anywhere in a text, in either case.

    `…` in a pattern is up to 100 characters of one line. The patterns are compiled with the first
    text, since few processes ever see an error.
    """

    def __init__(self, *patterns: str) -> None:
        self._patterns = patterns

    def are_in(self, text: str) -> bool:
        """Whether any of the patterns matches."""
        return self._compiled.search(text) is not None

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        each = (pattern.replace("…", r"[^\n]{0,100}?") for pattern in self._patterns)
        return re.compile("|".join(rf"\b(?:{pattern})" for pattern in each), re.IGNORECASE)
