"""Creating a key through the native API: the handler with its event, under moto."""

import pytest

from afterword.services import services
from afterword.tenants.keys import parse_key
from tests.conftest import FLOW, FLOW_DOCUMENT
from tests.harness.administration import (
    STARTED,
    Administration,
    answer,
    invalid,
)

SCOPES = "must be a list of one or more of: submit, read, admin."


def test_a_key_is_shown_once(administration: Administration) -> None:
    """The answer has the key, which works from then on, and storage has its hash alone."""
    result = administration.call("create_key")
    key = result["body"].pop("key")
    credential = parse_key(key)
    assert credential is not None
    shown = {
        "id": credential.key_id,
        "label": "dashboard",
        "scopes": ["read"],
        "flow": None,
        "created_at": STARTED,
        "revoked_at": None,
    }
    assert result == answer(201, shown)
    made = Administration(administration.load, key)
    assert made.call("list_flows")["statusCode"] == 200
    assert made.call("list_keys")["statusCode"] == 403
    assert shown in administration.call("list_keys")["body"]["keys"]
    stored = services().registry.get_key(credential.key_id)
    assert stored is not None
    assert credential.secret not in repr(stored)


def test_a_key_submits_and_reads_by_default(administration: Administration) -> None:
    """A key without scopes, or with scopes twice or in another order, has them in one order."""
    assert administration.call("create_key", {})["body"]["scopes"] == ["submit", "read"]
    made = administration.call("create_key", {"scopes": ["admin", "submit", "admin"]})
    assert made["body"]["scopes"] == ["submit", "admin"]


def test_a_key_for_one_flow(administration: Administration) -> None:
    """A key is bound to the flow that is named, and sees no other."""
    services().registry.put_flow("demo", "chat", FLOW_DOCUMENT)
    made = administration.call("create_key", {"scopes": ["read"], "flow": FLOW})["body"]
    assert made["flow"] == FLOW
    bound = Administration(administration.load, made["key"])
    assert bound.call("get_flow")["statusCode"] == 200
    assert bound.call("get_flow", flowId="chat")["statusCode"] == 403


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        ({"scopes": []}, "scopes", SCOPES),
        ({"scopes": "read"}, "scopes", SCOPES),
        ({"scopes": ["write"]}, "scopes", SCOPES),
        ({"scopes": [["read"]]}, "scopes", SCOPES),
        ({"label": 7}, "label", "must be a text of 1 to 200 characters."),
        ({"label": "x" * 201}, "label", "must be a text of 1 to 200 characters."),
        ({"flow": "absent"}, "flow", "must be the id of a flow."),
        ({"flow": "no id"}, "flow", "must be the id of a flow."),
        ({"name": "A"}, "name", "must be one of: flow, label, scopes."),
    ],
)
def test_what_does_not_fit_is_named(
    administration: Administration, body: object, field: str, message: str
) -> None:
    """A member that does not fit is named, and no key is made."""
    before = len(services().registry.list_keys("demo"))
    assert administration.call("create_key", body) == invalid((field, message))
    assert len(services().registry.list_keys("demo")) == before
