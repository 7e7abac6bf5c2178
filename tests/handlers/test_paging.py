"""Pages of lists: limits and cursors of the query, links, and the size of a response."""

import json
import re

import pytest

from afterword.errors import InvalidRequestError
from afterword.handlers import paging
from afterword.handlers.paging import Paging

PAGING = Paging(size=20, maximum=100)
KEY = "1794301200000#019a6f3e-7c00-7000-8000-000000000001"


def cursor_of(next_path: str | None) -> str:
    """Return the cursor of a path to the next page."""
    assert next_path is not None
    return next_path.rpartition("=")[2]


def test_a_list_has_a_page_size_without_a_limit() -> None:
    """Without parameters a page has the list's own size and begins at the start."""
    assert PAGING.parse({}) == (20, None)


@pytest.mark.parametrize("limit", ["1", "20", "100", "007"])
def test_a_limit_up_to_the_maximum_is_taken(limit: str) -> None:
    """A limit is a whole number from 1 to the maximum, of as many digits as that."""
    assert PAGING.parse({"limit": limit}) == (int(limit), None)


@pytest.mark.parametrize("limit", ["0", "101", "0001", "-1", "1.0", "", " 5", "٣", "ten", "+5"])
def test_other_limits_are_refused(limit: str) -> None:
    """Any other limit is refused, with the maximum in the message."""
    with pytest.raises(InvalidRequestError) as refused:
        PAGING.parse({"limit": limit})
    assert str(refused.value) == "limit: must be a whole number from 1 to 100."


@pytest.mark.parametrize("key", [KEY, "é#😀", "a" * 1_000])
def test_a_cursor_stands_for_a_sort_key(key: str) -> None:
    """The cursor of a link is read back as the sort key that it was made of."""
    cursor = cursor_of(PAGING.next_path("/list", {}, key))
    assert PAGING.parse({"after": cursor}) == (20, key)


def test_a_link_keeps_the_query() -> None:
    """The path of the next page has the query's parameters, and one cursor, that of the page."""
    by_cursor = Paging(size=20, maximum=100, cursor="cursor")
    query = {"status": "failed,canceled", "cursor": "earlier"}
    found = by_cursor.next_path("/list", query, "k")
    assert found == "/list?status=failed%2Ccanceled&cursor=aw"
    assert paging.link_headers(found) == {"link": f'<{found}>; rel="next"'}


def test_the_last_page_has_no_link() -> None:
    """Nothing after a page is no path and no header."""
    assert PAGING.next_path("/list", {"limit": 5}, None) is None
    assert paging.link_headers(None) == {}


@pytest.mark.parametrize("cursor", ["?", "é", "_w", "a", "aw==="])
def test_a_malformed_cursor_is_refused(cursor: str) -> None:
    """A text that no link has is refused, with the parameter's name in the message."""
    with pytest.raises(InvalidRequestError) as refused:
        PAGING.parse({"after": cursor})
    assert str(refused.value) == "after: must be a cursor of a Link header."


def test_a_cursor_of_another_list_is_refused() -> None:
    """A list whose sort keys have a form takes no cursor for another form."""
    other = cursor_of(PAGING.next_path("/list", {}, "msg_1"))
    generations = Paging(size=20, maximum=100, key=paging.GENERATION_KEY)
    with pytest.raises(InvalidRequestError, match=re.escape("after: must be a cursor")):
        generations.parse({"after": other})
    own = cursor_of(generations.next_path("/list", {}, KEY))
    assert generations.parse({"after": own}) == (20, KEY)


def test_the_size_of_a_text_is_that_within_a_response() -> None:
    """A JSON text counts with the quotes and backslashes that the response's string adds."""
    text = json.dumps({"a": 'é"'}, ensure_ascii=False)
    assert paging.response_bytes(text) == len(json.dumps(text, ensure_ascii=False).encode())
    assert paging.response_bytes('"') == 4
    assert paging.response_bytes("é") == 4


def test_the_first_texts_that_fit_are_taken() -> None:
    """Texts are taken in order up to the maximum, and none after one that does not fit."""
    texts = ["a" * 8, "b" * 8, "c" * 8, "d"]
    assert paging.fit(texts, 30) == texts[:3]
    assert paging.fit(texts, 29) == texts[:2]
    assert paging.fit([], 29) == []


def test_a_page_has_one_item_at_least() -> None:
    """A list comes to its end: an item too big has a page of its own, unless none must."""
    assert paging.fit(["a" * 50, "b"], 10) == ["a" * 50]
    assert paging.fit(["a" * 50, "b"], 10, least=0) == []


def test_a_page_fits_into_a_response() -> None:
    """Without a maximum the texts fit into Lambda's 6 MB, with room for the rest."""
    fitted = paging.fit(["x" * 1_000_000] * 7)
    assert sum(map(paging.response_bytes, fitted)) <= paging.PAGE_BYTES < paging.MAX_RESPONSE_BYTES
    assert len(fitted) == 4
