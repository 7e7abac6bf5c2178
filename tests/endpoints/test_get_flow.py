"""Reading a flow through the native API: the handler with its event, under moto."""

import json

import pytest

from afterword.services import services
from tests.conftest import FLOW, FLOW_DOCUMENT, SetClock, Tenant
from tests.harness.administration import (
    NO_SUCH_FLOW,
    STARTED,
    Administration,
    answer,
    invalid,
    no_flow,
)

FIRST = {
    "id": FLOW,
    "version": 1,
    "created_at": STARTED,
    "flow": json.loads(FLOW_DOCUMENT),
}


def test_a_flow_is_shown_as_it_was_saved(
    administration: Administration, set_clock: SetClock
) -> None:
    """The newest version is shown by default, and every other by its number."""
    set_clock.advance(hours=1)
    changed = {**json.loads(FLOW_DOCUMENT), "name": "Replies"}
    services().registry.put_flow("demo", FLOW, json.dumps(changed))
    second = {
        "id": FLOW,
        "version": 2,
        "created_at": "2026-11-10T10:00:00.000Z",
        "flow": changed,
    }
    assert administration.call("get_flow") == answer(200, second)
    assert administration.call("get_flow", query={"version": "2"}) == answer(200, second)
    assert administration.call("get_flow", query={"version": "1"}) == answer(200, FIRST)


@pytest.mark.parametrize("version", ["", "one", "-1", "1.0", "²", "9" * 10])
def test_a_version_is_a_number(administration: Administration, version: str) -> None:
    """A version that is no number is refused by its name."""
    refused = administration.call("get_flow", query={"version": version})
    assert refused == invalid(("version", "must be a whole number from 1."))


def test_a_foreign_flow_looks_like_none(
    administration: Administration, other_tenant: Tenant
) -> None:
    """An absent flow, a foreign flow, a version and a bad id get the same answer."""
    services().registry.put_flow(other_tenant.id, "theirs", FLOW_DOCUMENT)
    for flow in ("theirs", "absent"):
        assert administration.call("get_flow", flowId=flow) == no_flow(flow)
    for flow in ("no id", "x" * 3_000, "a#b"):
        assert administration.call("get_flow", flowId=flow) == NO_SUCH_FLOW
    for version in ("0", "7"):
        assert administration.call("get_flow", query={"version": version}) == no_flow(FLOW)
