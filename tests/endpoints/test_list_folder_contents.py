"""Listing a folder's contents through Promptitude's API: the handler with its event, under moto."""

import base64

import pytest

from afterword.knowledge import folder_id
from tests.harness.api import invoke
from tests.harness.contents import (
    NO_SUCH_FOLDER,
    Contents,
    answer,
    next_page,
    read,
    shown,
)

TERMS = folder_id("demo", "Terms")
STRANGE = "after: must be the cursor of the page before."


def test_the_sample_folder_is_listed(contents: Contents) -> None:
    """The contents of a folder are listed with all that is known of them, and no text."""
    content_id = contents.created(folder="Terms", tags="shop", externalId="1", source="S")["id"]
    contents.created()
    result = read(invoke("list_folder_contents", contents.event("list_folder_contents")))
    content = shown(content_id, folder="Terms", tags=["shop"], externalId="1", source="S")
    assert result == answer(200, "OK", {"contentsCount": 1, "contents": [content]})


def test_a_folder_that_is_empty_by_now(contents: Contents) -> None:
    """A folder whose last content has gone to another one is there, and empty."""
    contents.update(contents.created(folder="Terms")["id"], {"folder": "Other"})
    assert contents.list(TERMS) == answer(200, "OK", {"contentsCount": 0, "contents": []})


@pytest.mark.parametrize("limit", [1, 2, 5, 6])
def test_pages_have_each_content_once(contents: Contents, limit: int) -> None:
    """The Link headers lead through all contents, oldest first, and end."""
    created = [contents.created(folder="Terms", name=f"N{number}")["id"] for number in range(5)]
    query: dict[str, str] | None = {"limit": str(limit)}
    found: list[str] = []
    while query is not None:
        page = contents.list(TERMS, **query)
        results = page["body"]["results"]
        assert results["contentsCount"] == 5
        assert len(results["contents"]) == min(limit, 5 - len(found))
        found += [content["id"] for content in results["contents"]]
        query = next_page(page)
        assert query is None or query["limit"] == str(limit)
    assert found == sorted(created)


def test_a_link_leads_to_the_same_folder(contents: Contents) -> None:
    """The link is relative, and as many contents are on the next page."""
    for number in range(2):
        contents.created(folder="Terms", name=f"N{number}")
    link = contents.list(TERMS, limit="1")["headers"]["link"]
    assert link.startswith(f"</v1/content/folders/{TERMS}/contents?limit=1&after=")


def test_another_folders_page_is_none_of_this_one(contents: Contents) -> None:
    """The cursor of one folder's page is none in another folder."""
    for number in range(2):
        contents.created(folder="Terms", name=f"N{number}")
    contents.created(folder="Other")
    query = next_page(contents.list(TERMS, limit="1"))
    assert query is not None
    assert contents.list(folder_id("demo", "Other"), **query) == answer(400, STRANGE)


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "1.5", "x", "", "99999", "\u0661"])
def test_a_limit_is_1_to_1000(contents: Contents, limit: str) -> None:
    """Any other limit is refused; 1 and 1000 are taken."""
    contents.created(folder="Terms")
    message = "limit: must be a whole number from 1 to 1000."
    assert contents.list(TERMS, limit=limit) == answer(400, message)
    for taken in ("1", "1000"):
        assert contents.list(TERMS, limit=taken)["statusCode"] == 200


@pytest.mark.parametrize(
    ("after", "message"),
    [
        ("?", "after: must be a cursor of a Link header."),
        ("é", "after: must be a cursor of a Link header."),
        ("_w", "after: must be a cursor of a Link header."),
        ("", STRANGE),
        (base64.b64encode(b"content#").decode(), STRANGE),
        (base64.b64encode(f"{TERMS}#~".encode()).decode(), STRANGE),
    ],
)
def test_a_cursor_that_no_page_has_ended_at(contents: Contents, after: str, message: str) -> None:
    """`after` is what a link has; everything else is refused."""
    contents.created(folder="Terms")
    assert contents.list(TERMS, after=after) == answer(400, message)


@pytest.mark.parametrize(
    "folder", ["Terms", "019a6f3e-7c00-7000-8000-000000000009", "", "\x00", "x" * 5_000, "a#b"]
)
def test_a_folder_that_is_not_there(contents: Contents, folder: str) -> None:
    """An unknown id is not found, and neither is a folder by its name."""
    contents.created(folder="Terms")
    assert contents.list(folder) == NO_SUCH_FOLDER
