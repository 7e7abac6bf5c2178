"""Deleting a content through the native API: the handler with its event, under moto."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from afterword.knowledge import Draft
from afterword.runtime.payloads import INLINE_BYTES
from afterword.services import services
from afterword.tenants.keys import Scope
from tests.conftest import Tenant
from tests.harness import contents
from tests.harness.api import Api
from tests.harness.belongings import make_belongings
from tests.harness.native_generations import problem
from tests.harness.response_headers import NO_STORE

DELETED = {"statusCode": 204, "headers": {**NO_STORE}, "body": None}
NOT_FOUND = problem(404, "There is no such content.")
BIG = "x" * (INLINE_BYTES + 1)

type Delete = Callable[[str], Mapping[str, Any]]


@pytest.fixture
def delete(tenant: Tenant) -> Delete:
    """Return a function that deletes a content of the tenant's."""
    api = Api(services().registry.create_key(tenant.id, [Scope.ADMIN])[1])
    return lambda reference: api.call("delete_content", contentId=reference)


def create(**fields: str) -> str:
    """Create a content; return its id."""
    draft = {"name": "Refunds", "text": "Soon.", "folder": "Terms", **fields}
    return services().contents.create("demo", Draft(**draft)).id  # type: ignore[arg-type] # texts alone


@pytest.mark.parametrize("text", ["Soon.", BIG])
def test_a_content_is_deleted_with_its_text(delete: Delete, text: str) -> None:
    """Nothing is left of a content but the counts of its folder and of all contents."""
    content_id = create(text=text, external_id="terms-1")
    assert contents.stored() == (6, 2)
    assert delete(content_id) == DELETED
    assert contents.stored() == (2, 0)
    assert [folder.contents for folder in services().contents.list_folders("demo")] == [0]
    assert delete(content_id) == NOT_FOUND


def test_a_content_is_deleted_by_its_owners_id(delete: Delete) -> None:
    """A content is found by its external id, which is free again afterwards."""
    create(external_id="terms-1")
    assert delete("terms-1") == DELETED
    assert delete("terms-1") == NOT_FOUND
    create(external_id="terms-1")


def test_other_contents_stay(delete: Delete) -> None:
    """A deletion leaves the folder's other contents as they are."""
    first, second = create(), create()
    delete(first)
    assert services().contents.get("demo", second).id == second


def test_anothers_content_is_not_found(delete: Delete, other_tenant: Tenant) -> None:
    """A foreign content looks absent, and stays."""
    theirs = make_belongings(other_tenant)["contentId"]
    assert delete(theirs) == NOT_FOUND
    assert services().contents.get(other_tenant.id, theirs).id == theirs
