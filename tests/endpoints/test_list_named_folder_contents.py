"""Listing a folder's contents by its name: the handler with its event, under moto."""

from collections.abc import Callable
from urllib.parse import unquote, urlsplit

import pytest

from afterword.knowledge import MAX_NAME, folder_id
from tests.conftest import Tenant
from tests.harness.api import invoke
from tests.harness.contents import (
    NO_SUCH_FOLDER,
    Contents,
    answer,
    next_page,
    read,
    shown,
)


def test_the_sample_folder_is_listed_by_its_name(contents: Contents) -> None:
    """The contents of a named folder are listed as those of its id are."""
    content_id = contents.created(folder="Terms", tags="shop")["id"]
    contents.created()
    event = contents.event("list_named_folder_contents")
    content = shown(content_id, folder="Terms", tags=["shop"])
    expected = answer(200, "OK", {"contentsCount": 1, "contents": [content]})
    assert read(invoke("list_named_folder_contents", event)) == expected
    assert contents.list(folder_id("demo", "Terms")) == expected


@pytest.mark.parametrize("name", ["TERMS", " terms ", "terms"])
def test_the_case_of_a_name_does_not_matter(contents: Contents, name: str) -> None:
    """A name finds the folder that it would create a content in."""
    contents.created(folder="Terms")
    assert contents.list_named(name)["body"]["results"]["contentsCount"] == 1


@pytest.mark.parametrize("name", ["Terms & more", "50%", "a/b", "É <x>"])
def test_pages_lead_on_by_the_name(contents: Contents, name: str) -> None:
    """The Link headers have the name percent-encoded, and lead through all contents."""
    created = [contents.created(folder=name, name=f"N{number}")["id"] for number in range(3)]
    query: dict[str, str] | None = {"limit": "2"}
    found: list[str] = []
    while query is not None:
        page = contents.list_named(name, **query)
        found += [content["id"] for content in page["body"]["results"]["contents"]]
        query = next_page(page)
        if query is not None:
            path = urlsplit(page["headers"]["link"].partition(">")[0][1:]).path
            *_, last = path.removesuffix("/contents").split("/")
            assert unquote(last) == name
    assert found == sorted(created)


@pytest.mark.parametrize("limit", ["0", "1001", "x"])
def test_a_limit_is_that_of_the_list_by_id(contents: Contents, limit: str) -> None:
    """A page has 1 to 1000 contents."""
    contents.created(folder="Terms")
    message = "limit: must be a whole number from 1 to 1000."
    assert contents.list_named("Terms", limit=limit) == answer(400, message)
    assert contents.list_named("Terms", limit="1000")["statusCode"] == 200


def test_another_folders_page_is_none_of_this_one(contents: Contents) -> None:
    """The cursor of one folder's page is none in another folder."""
    for number in range(2):
        contents.created(folder="Terms", name=f"N{number}")
    contents.created(folder="Other")
    query = next_page(contents.list_named("Terms", limit="1"))
    assert query is not None
    strange = answer(400, "after: must be the cursor of the page before.")
    assert contents.list_named("Other", **query) == strange


def test_anothers_folder_looks_absent(
    contents: Contents, contents_of: Callable[[Tenant], Contents], other_tenant: Tenant
) -> None:
    """A name finds the folders of the key's tenant alone."""
    contents_of(other_tenant).created(folder="Theirs")
    assert contents.list_named("Theirs") == NO_SUCH_FOLDER


@pytest.mark.parametrize(
    "name",
    ["Other", "", " ", "x" * (MAX_NAME + 1), "\x00", "\ud800", folder_id("demo", "Terms")],
)
def test_a_name_that_no_folder_has(contents: Contents, name: str) -> None:
    """An unknown name, a text that is no name and an id are not found."""
    contents.created(folder="Terms")
    assert contents.list_named(name) == NO_SUCH_FOLDER


def test_the_longest_name_is_found(contents: Contents) -> None:
    """A folder with the longest name is listed by it."""
    contents.created(folder="x" * MAX_NAME)
    assert contents.list_named("x" * MAX_NAME)["statusCode"] == 200
