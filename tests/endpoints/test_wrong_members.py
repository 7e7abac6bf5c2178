"""Bodies of the native API with several members that do not fit: all are told at once."""

import json
from collections.abc import Callable, Mapping

import pytest

from afterword.errors import MAX_WRONG_FIELDS
from afterword.services import services
from afterword.tenants.keys import Scope
from tests.conftest import FLOW, Event, Tenant
from tests.harness.api import invoke
from tests.harness.native_generations import PROBLEM

type Wrong = list[tuple[str, str]]

LONG = "x" * 2_001
ASKING = {
    "id": FLOW,
    "name": "Ask",
    "inputs": [
        {"name": "text", "required": False},
        {"name": "age", "kind": "number", "required": False},
        {"name": "town", "required": False},
    ],
    "steps": [{"name": "answer", "prompt": "{{text}} {{age}} {{town}}", "context": {}}],
}
TERMS = {
    "external_ref": "",
    "metadata": [],
    "deadline_seconds": 9,
    "conversation": 7,
    "webhook_url": LONG,
    "extra": 1,
    "more": 2,
}
KNOWN = (
    "must be one of: context, conversation, deadline_seconds, external_ref, flow, inputs, metadata,"
    " webhook_url."
)
WRONG_TERMS: Wrong = [
    ("extra", KNOWN),
    ("more", KNOWN),
    ("external_ref", "must be a text of 1 to 255 characters."),
    ("metadata", "must be a JSON object."),
    ("deadline_seconds", "must be a whole number from 10 to 21600."),
    ("conversation", "must be a text of 1 to 255 characters."),
    ("webhook_url", "must be a text of 1 to 2000 characters."),
]
WRONG_CONTEXT: Wrong = [
    ("context.rhyme", "must be one of: answer."),
    ("context.answer.size", "must be one of: folders, tags."),
    ("context.answer.folders.ids", "must be a list of up to 100 texts."),
    ("context.answer.folders.names", "must have texts of 1 to 200 characters."),
    ("context.answer.tags", "must be a JSON object."),
]
CASES: Mapping[str, tuple[str, object, Wrong]] = {
    "a submission": (
        "submit_generation",
        {
            "flow": FLOW,
            "inputs": {"age": "old", "town": ["a", "b"], "color": "red"},
            "context": {
                "rhyme": {},
                "answer": {"folders": {"ids": 1, "names": [""]}, "tags": 2, "size": 3},
            },
            **TERMS,
        },
        [
            *WRONG_TERMS,
            ("inputs.color", "must be one of: text, age, town."),
            ("inputs.age", "must be a number."),
            ("inputs.town", "must be sent once, not 2 times."),
            *WRONG_CONTEXT,
        ],
    ),
    "a submission to no flow": (
        "submit_generation",
        {"flow": "nowhere", "inputs": {"age": "old"}, **TERMS},
        [("flow", "must be the id of a flow."), *WRONG_TERMS],
    ),
    "a submission without a flow": (
        "submit_generation",
        {"deadline_seconds": "soon"},
        [
            ("flow", "must be present."),
            ("deadline_seconds", "must be a whole number from 10 to 21600."),
        ],
    ),
    "a submission of unknown folders and tags": (
        "submit_generation",
        {
            "flow": FLOW,
            "inputs": {"age": "old"},
            "context": {"answer": {"folders": {"names": ["A"]}, "tags": {"names": ["B"]}}},
        },
        [
            ("inputs.age", "must be a number."),
            ("context.answer.folders", 'must exist, and there is no folder "A".'),
            ("context.answer.tags", 'must exist, and there is no tag "B".'),
        ],
    ),
    "a flow": (
        "put_flow",
        {"id": "another", "name": "", "steps": []},
        [
            ("id", "must be the id in the path, or left out."),
            ("name", "must have at least 1 character."),
            ("steps", "must have 1 to 20 steps, not 0."),
        ],
    ),
    "a key": (
        "create_key",
        {"scopes": [], "label": 1, "flow": "", "color": "red"},
        [
            ("color", "must be one of: flow, label, scopes."),
            ("scopes", "must be a list of one or more of: submit, read, admin."),
            ("label", "must be a text of 1 to 200 characters."),
            ("flow", "must be a text of 1 to 200 characters."),
        ],
    ),
    "a webhook": (
        "create_webhook",
        {"label": 1, "events": ["x"], "color": "red"},
        [
            ("color", "must be one of: events, label, url."),
            ("url", "must be present."),
            ("label", "must be a text of up to 200 characters."),
            ("events", "must be a list of one or more of: generation.finished."),
        ],
    ),
    "a change of a webhook": (
        "update_webhook",
        {"url": None, "label": 1, "events": [], "enabled": "yes", "color": "red"},
        [
            ("color", "must be one of: enabled, events, label, url."),
            ("url", "must not be null; without this member the value stays."),
            ("label", "must be a text of up to 200 characters."),
            ("events", "must be a list of one or more of: generation.finished."),
            ("enabled", "must be true or false."),
        ],
    ),
    "a replay": (
        "replay_deliveries",
        {"since": "soon", "after": "x", "color": "red"},
        [
            ("color", "must be one of: after, since."),
            ("since", "must be a time like 2026-11-10T09:00:00Z."),
            ("after", "must be the `after` of the answer before."),
        ],
    ),
    "a batch": (
        "create_batch",
        {"upload": False, "deadline_seconds": 1, "color": "red"},
        [
            ("color", "must be one of: deadline_seconds, upload."),
            ("upload", "must be true, or left out."),
            ("deadline_seconds", "must be a whole number from 60 to 604800."),
        ],
    ),
}

type Send = Callable[[str, object], Mapping[str, object]]


@pytest.fixture
def send(tenant: Tenant, load_event: Callable[[str], Event]) -> Send:
    """Return a function that sends a body to a function, with a key of all scopes."""
    _, key = services().registry.create_key(tenant.id, list(Scope))
    services().registry.put_flow(tenant.id, FLOW, json.dumps(ASKING))

    def call(name: str, body: object) -> Mapping[str, object]:
        event = load_event(name)
        event["headers"] |= {"authorization": f"Bearer {key}", "content-type": "application/json"}
        event |= {"body": json.dumps(body), "isBase64Encoded": False}
        if "flowId" in event.get("pathParameters", {}):
            event["pathParameters"]["flowId"] = FLOW
        result = invoke(name, event)
        return {**result, "body": json.loads(result["body"])}

    return call


@pytest.mark.parametrize(("name", "body", "wrong"), CASES.values(), ids=CASES)
def test_all_wrong_members_are_told_at_once(
    send: Send, name: str, body: object, wrong: Wrong
) -> None:
    """Each member that does not fit is in `errors`, and the first one is the detail."""
    field, message = wrong[0]
    assert send(name, body) == {
        "statusCode": 422,
        "headers": PROBLEM,
        "body": {
            "type": "urn:problem-type:afterword:invalid-member",
            "title": "A member of the request does not fit",
            "status": 422,
            "detail": f"{field}: {message}",
            "errors": [{"field": field, "message": message} for field, message in wrong],
        },
    }


@pytest.mark.parametrize("within", ["inputs", "context", None])
def test_the_number_of_wrong_members_is_bounded(send: Send, within: str | None) -> None:
    """Of very many wrong members the first ones are told."""
    many = {f"x{number}": {} if within == "context" else "1" for number in range(3_000)}
    prefix = "" if within is None else f"{within}."
    body = {"flow": FLOW, **(many if within is None else {within: many})}
    answer = send("submit_generation", body)["body"]
    assert isinstance(answer, dict)
    fields = [each["field"] for each in answer["errors"]]
    assert fields == [f"{prefix}x{number}" for number in range(MAX_WRONG_FIELDS)]


def test_a_key_for_another_flow_is_refused_first(
    tenant: Tenant, load_event: Callable[[str], Event]
) -> None:
    """A key that may not submit to the flow gets 403, whatever else is wrong."""
    services().registry.put_flow(tenant.id, "other", json.dumps({**ASKING, "id": "other"}))
    _, key = services().registry.create_key(tenant.id, list(Scope), flow="other")
    event = load_event("submit_generation")
    event["headers"]["authorization"] = f"Bearer {key}"
    event["body"] = json.dumps({"flow": FLOW, **TERMS})
    assert invoke("submit_generation", event)["statusCode"] == 403
