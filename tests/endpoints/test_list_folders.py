"""Listing the folders through Promptitude's API: the handler with its event, under moto."""

from collections.abc import Callable

from afterword.knowledge import folder_id
from tests.conftest import Tenant
from tests.harness.api import invoke
from tests.harness.contents import Contents, answer, read


def folder(name: str, count: int) -> dict[str, object]:
    """Return how a folder is shown."""
    return {
        "id": folder_id("demo", name),
        "name": name,
        "contentsCount": count,
        "type": "manual",
        "description": "",
    }


def test_there_are_no_folders_at_first(contents: Contents) -> None:
    """A tenant without contents has no folders."""
    result = read(invoke("list_folders", contents.event("list_folders")))
    assert result == answer(200, "OK", {"foldersCount": 0, "folders": []})


def test_folders_are_listed_by_name(
    contents: Contents, contents_of: Callable[[Tenant], Contents], other_tenant: Tenant
) -> None:
    """Each folder that contents name is there once, with their number, and no other tenant's."""
    for name in ("Terms", "articles", "Écoles", "Terms"):
        contents.created(folder=name)
    contents.created()
    contents_of(other_tenant).created(folder="Theirs")
    folders = [folder("articles", 1), folder("General", 1), folder("Terms", 2), folder("Écoles", 1)]
    assert contents.folders() == answer(200, "OK", {"foldersCount": 4, "folders": folders})
