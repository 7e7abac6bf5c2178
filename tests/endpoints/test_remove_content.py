"""Removing a content through Promptitude's API: the handler with its event, under moto."""

from collections.abc import Callable

import pytest

from afterword.runtime.payloads import INLINE_BYTES
from afterword.services import services
from tests.conftest import Tenant
from tests.harness.api import invoke
from tests.harness.contents import NO_SUCH_CONTENT, Contents, answer, read, stored

BIG = "x" * (INLINE_BYTES + 1)


def test_the_sample_content_is_removed(contents: Contents) -> None:
    """A content is removed by its owner's id, which is free again, and its own id is shown."""
    content_id = contents.created(externalId="terms-1")["id"]
    result = read(invoke("remove_content", contents.event("remove_content")))
    assert result == answer(200, "OK", {"id": content_id})
    assert contents.remove("terms-1") == NO_SUCH_CONTENT
    contents.created(externalId="terms-1")


@pytest.mark.parametrize("text", ["Soon.", BIG])
def test_nothing_is_left_of_a_content(contents: Contents, text: str) -> None:
    """The text and the passages are gone, and the counts are those of the other contents."""
    other = contents.created(folder="Terms")["id"]
    before = stored()
    content_id = contents.created(folder="Terms", text=text)["id"]
    assert contents.remove(content_id) == answer(200, "OK", {"id": content_id})
    assert stored() == before
    (folder,) = services().contents.list_folders("demo")
    assert folder.contents == 1
    assert services().contents.get("demo", other).id == other


def test_a_content_is_removed_once(contents: Contents) -> None:
    """A content that was removed is not found."""
    content_id = contents.created()["id"]
    contents.remove(content_id)
    assert contents.remove(content_id) == NO_SUCH_CONTENT


def test_anothers_content_is_not_found(
    contents: Contents, contents_of: Callable[[Tenant], Contents], other_tenant: Tenant
) -> None:
    """A foreign content looks absent, and stays."""
    theirs = contents_of(other_tenant).created(externalId="theirs-1")["id"]
    for reference in (theirs, "theirs-1"):
        assert contents.remove(reference) == NO_SUCH_CONTENT
    assert services().contents.get(other_tenant.id, theirs).id == theirs


@pytest.mark.parametrize("reference", ["", " ", "folders", "x" * 5_000, "\x00", "a#b"])
def test_what_names_no_content_is_not_found(contents: Contents, reference: str) -> None:
    """A text that is no content's id removes nothing."""
    contents.created()
    before = stored()
    assert contents.remove(reference) == NO_SUCH_CONTENT
    assert stored() == before
