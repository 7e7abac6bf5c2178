"""Pages of lists: the query's limit and cursor, the `Link` header, and the size of a response."""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from urllib.parse import urlencode

from afterword.errors import InvalidRequestError
from afterword.records import dataclass

MAX_RESPONSE_BYTES = 6_000_000
"""Lambda's limit of a response, in which the body is a JSON string."""
PAGE_BYTES = 5_000_000
"""The size of a page in bytes, at most."""
GENERATION_KEY = re.compile(r"[0-9]{13}#[0-9a-f-]{36}")
"""The sort key of a generation in a list: its creation time and its id."""
ANY_KEY = re.compile(r".*", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """The paging of a list: the page size without a `limit`, the maximum, and the cursors.

    `cursor` is the query's parameter. A cursor encodes a sort key of the list, of the form `key`.
    """

    size: int
    maximum: int
    cursor: str = "after"
    key: re.Pattern[str] = ANY_KEY

    def parse(self, query: Mapping[str, str]) -> tuple[int, str | None]:
        """Return the query's limit, and the sort key that the page comes after.

        Raises InvalidRequestError. A foreign cursor is harmless: lists read one tenant alone.
        """
        text = query.get("limit", str(self.size))
        digits = text.isascii() and text.isdecimal() and len(text) <= len(str(self.maximum))
        if not digits or not 1 <= int(text) <= self.maximum:
            raise InvalidRequestError(f"limit: must be a whole number from 1 to {self.maximum}.")
        after = query.get(self.cursor)
        return int(text), None if after is None else self._decode(after)

    def next_path(self, path: str, query: Mapping[str, str | int], after: str | None) -> str | None:
        """Return the path of the page after a sort key; None without a next page."""
        cursor = self.next_cursor(after)
        return None if cursor is None else f"{path}?{urlencode({**query, self.cursor: cursor})}"

    @staticmethod
    def next_cursor(after: str | None) -> str | None:
        """Return the cursor of the page after a sort key; None without a next page."""
        if after is None:
            return None
        return base64.urlsafe_b64encode(after.encode()).decode().rstrip("=")

    def _decode(self, cursor: str) -> str:
        try:
            padded = cursor + "=" * (-len(cursor) % 4)
            key = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
        except (binascii.Error, ValueError):
            key = None
        if key is None or not self.key.fullmatch(key):
            raise InvalidRequestError(f"{self.cursor}: must be a cursor of a Link header.")
        return key


def link_headers(next_path: str | None) -> dict[str, str]:
    """Return the `Link` header to the next page (RFC 8288); none without a next page."""
    return {} if next_path is None else {"link": f'<{next_path}>; rel="next"'}


def response_bytes(text: str) -> int:
    """Return the bytes of a JSON text within the JSON string of a function's response."""
    return len(json.dumps(text, ensure_ascii=False).encode())


def fit(texts: Iterable[str], maximum: int | None = None, *, least: int = 1) -> list[str]:
    """Return the first JSON texts that fit into a response, at least `least` of them.

    `maximum` is their size in bytes, PAGE_BYTES by default.
    """
    bound = PAGE_BYTES if maximum is None else maximum
    fitted: list[str] = []
    size = 0
    for text in texts:
        size += response_bytes(text)
        if len(fitted) >= least and size > bound:
            break
        fitted.append(text)
    return fitted
