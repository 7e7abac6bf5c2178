"""Lists in pages: flows, versions, keys, webhooks and folders, each with its cursor."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from afterword.knowledge import Draft
from afterword.services import services
from afterword.tenants.keys import Scope
from tests.conftest import FLOW, FLOW_DOCUMENT, SetClock, Tenant
from tests.harness.administration import Administration

LISTS = {
    "list_flows": ("flows", "cursor"),
    "list_flow_versions": ("versions", "cursor"),
    "list_keys": ("keys", "cursor"),
    "list_webhooks": ("webhooks", "cursor"),
    "list_folders": ("folders", "after"),
}
"""The member of each list, and the parameter of its cursor."""
NATIVE = LISTS.keys() - {"list_folders"}
"""The lists with the next page in the body, too."""


@pytest.fixture
def administration(
    administration: Administration, tenant: Tenant, set_clock: SetClock, no_internet: None
) -> Administration:
    """Return a client of a tenant with five or more of each thing."""
    assert no_internet is None
    registry = services().registry
    for number in range(4):
        set_clock.advance(seconds=1)
        registry.put_flow(tenant.id, FLOW, FLOW_DOCUMENT.replace("politely", f"{number} times"))
        registry.put_flow(tenant.id, f"flow-{number}", FLOW_DOCUMENT)
        registry.create_key(tenant.id, [Scope.READ])
    for number in range(5):
        services().webhook_endpoints.create(tenant.id, f"https://hooks.example.com/{number}")
        services().contents.create(tenant.id, Draft(name="A", text="B", folder=f"Folder {number}"))
    return administration


def read_page(
    client: Administration, function: str, query: dict[str, str]
) -> tuple[list[Any], Any]:
    """Return the things of a page, and the query of the next one."""
    result = client.call(function, query=query)
    assert result["statusCode"] == 200, result
    body = result["body"].get("results", result["body"])
    header = result["headers"].get("link")
    following = None
    if header is not None:
        address, _, relation = header.partition(">; ")
        assert relation == 'rel="next"'
        parsed = parse_qs(urlsplit(address.removeprefix("<")).query, strict_parsing=True)
        following = {name: value for name, (value,) in parsed.items()}
    if function in NATIVE:
        address = None if header is None else header[1:].partition(">")[0]
        cursor = None if following is None else following["cursor"]
        assert (body["next"], body["next_cursor"]) == (address, cursor)
    return body[LISTS[function][0]], following


@pytest.mark.parametrize("function", LISTS)
def test_a_list_comes_in_pages(administration: Administration, function: str) -> None:
    """The pages of a list are together the list without a limit, each thing once."""
    whole, following = read_page(administration, function, {})
    assert following is None
    assert len(whole) >= 5
    things: list[Any] = []
    query: dict[str, str] | None = {"limit": "2"}
    while query is not None:
        page, query = read_page(administration, function, query)
        assert 1 <= len(page) <= 2
        things += page
    assert things == whole


@pytest.mark.parametrize("function", LISTS)
@pytest.mark.parametrize(
    "query", [{"limit": "0"}, {"limit": "9999999"}, {"cursor": "=", "after": "="}]
)
def test_a_page_that_is_none_is_refused(
    administration: Administration, function: str, query: dict[str, str]
) -> None:
    """A limit out of bounds and a cursor of no list are a request that cannot be read."""
    result = administration.call(function, query=query)
    assert result["statusCode"] == 400
    name = "limit" if "limit" in query else LISTS[function][1]
    assert f"{name}: must be" in json.dumps(result["body"])


def test_a_page_of_a_key_for_one_flow(
    administration: Administration, administration_of: Callable[..., Administration], tenant: Tenant
) -> None:
    """A key for one flow lists it in one page."""
    client = replace(administration, key=administration_of(tenant, flow=FLOW).key)
    flows, following = read_page(client, "list_flows", {"limit": "1"})
    assert [flow["id"] for flow in flows] == [FLOW]
    assert following is None
