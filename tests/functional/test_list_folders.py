"""Listing the folders through Promptitude's API: the handler with its event, under moto."""

from collections.abc import Callable

from afterword.knowledge import folder_id
from afterword.services import services
from afterword.tenants.keys import Scope
from functions.list_folders.app import handler
from tests.conftest import FLOW, LambdaContext, Tenant
from tests.harness.contents import BOUND, Contents, answer, read


def folder(name: str, count: int) -> dict[str, object]:
    """Return how a folder is shown."""
    return {
        "id": folder_id("demo", name),
        "name": name,
        "contentsCount": count,
        "type": "folder",
        "description": "",
    }


def test_there_are_no_folders_at_first(contents: Contents) -> None:
    """A tenant without contents has no folders."""
    result = read(handler(contents.event("list_folders"), LambdaContext()))
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


def test_reading_is_enough_to_list(contents: Contents, tenant: Tenant) -> None:
    """A key with the scope `read` may list; another, and one for a flow alone, may not."""
    assert Contents(contents.load, tenant.key_with(Scope.READ)).folders()["statusCode"] == 200
    refused = Contents(contents.load, tenant.key_with(Scope.ADMIN)).folders()
    assert refused == answer(403, "The API key does not have the scope 'read'.")
    key = services().registry.create_key(tenant.id, [Scope.READ], flow=FLOW)[1]
    assert Contents(contents.load, key).folders() == BOUND
    expected = answer(401, "An API key is needed.", www_authenticate="Bearer")
    assert Contents(contents.load, "").folders() == expected


def test_storage_out_of_reach(contents: Contents, cut_off: Callable[[str], None]) -> None:
    """Without storage the client is asked to come back."""
    cut_off("dynamodb.Query")
    assert contents.folders() == answer(503, "Try again in a moment.", retry_after="1")
