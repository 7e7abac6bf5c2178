"""The app of an API key, and who gets in at GenAI Stack's API."""

import io
import json
import uuid
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from afterword import clock
from afterword.generations import Submission
from afterword.handlers import paging
from afterword.services import services
from afterword.tenants import authentication, keys
from tests.conftest import FLOW, FLOW_DOCUMENT, Event, SetClock, Stored, Tenant
from tests.endpoints import conftest
from tests.endpoints.conftest import ClientFor
from tests.harness.api import invoke
from tests.harness.chats import Chats
from tests.harness.fake_model import FakeModel, completion, saying
from tests.harness.genai_stack import (
    BIG,
    DOCUMENTED_APP,
    ENDPOINTS,
    FORM,
    FORM_DOCUMENT,
    NO_APP,
    Client,
    answer,
    body_of,
    differences,
    refusal,
    send,
    unauthorized,
)

NOTHING = Stored(items=0, messages=0, objects=0)
APPS = uuid.UUID("5a9f4f0e-0f0b-4c53-9d4e-3c8f4a1de6b7")
TEXT = {
    "name": "text",
    "label": "Text",
    "kind": "long_text",
    "required": True,
    "multiple": False,
}
QUESTION = {
    "name": "question",
    "label": "question",
    "kind": "text",
    "required": True,
    "multiple": False,
}
PAPER = {
    "name": "paper",
    "label": "paper",
    "kind": "file",
    "required": False,
    "multiple": False,
    "max_bytes": 4_500_000,
}
FIELDS = [
    {
        "name": "topic",
        "label": "What it is about",
        "kind": "text",
        "required": True,
        "multiple": False,
        "max_length": 40,
    },
    {
        "name": "story",
        "label": "story",
        "kind": "long_text",
        "required": False,
        "multiple": False,
    },
    {
        "name": "words",
        "label": "words",
        "kind": "number",
        "required": False,
        "multiple": False,
        "min": 1,
        "max": 500,
    },
    {"name": "draft", "label": "draft", "kind": "boolean", "required": False, "multiple": False},
    {
        "name": "tone",
        "label": "tone",
        "kind": "choice",
        "required": True,
        "multiple": False,
        "default": "formal",
        "options": ["formal", "friendly"],
    },
    {"name": "keywords", "label": "keywords", "kind": "text", "required": False, "multiple": True},
    {
        "name": "sources",
        "label": "sources",
        "kind": "file",
        "required": False,
        "multiple": True,
        "max_bytes": 1_000,
    },
    {
        "name": "photo",
        "label": "photo",
        "kind": "file",
        "required": False,
        "multiple": False,
        "max_bytes": 4_500_000,
    },
]


def app_id(tenant: str, flow: str) -> str:
    """Return the id of an app."""
    return str(uuid.uuid5(APPS, f"{tenant}#{flow}"))


def turn(message: str, key: str, *, is_bot: bool, files: object = ()) -> dict[str, object]:
    """Return a turn of a chat session."""
    return {
        "is_bot": is_bot,
        "message": message,
        "chatKey": key,
        "type": "text",
        "intermediate_steps": "",
        "files": files or [],
    }


def test_an_app_is_the_flow_of_the_key(client: Client) -> None:
    """A flow that declares nothing is an app with one text, and no generations at first."""
    assert client.app() == answer(
        {
            "id": app_id("demo", FLOW),
            "data": {"name": "Replies to customers", "inputs": [TEXT]},
            "form_keys_data": {"text": TEXT},
            "stack_type": "text_generation",
            "chat_sessions": [],
            "text_generations": [],
        }
    )


def test_an_apps_form_is_what_the_flow_declares(form: Client) -> None:
    """Every declared input is a field of the form, with the limits that it has."""
    body = body_of(form.app())
    assert body["data"] == {"name": "Letters", "inputs": FIELDS}
    assert list(body["form_keys_data"].items()) == [(each["name"], each) for each in FIELDS]


def test_an_app_shows_its_generations_newest_first(form: Client, set_clock: SetClock) -> None:
    """A form's app has its text generations, each as it is read alone, and no sessions."""
    first = form.submitted(("topic", "Snow"))
    set_clock.advance(seconds=1)
    second = form.submitted(("topic", "Rain"))
    body = body_of(form.app())
    assert body["text_generations"] == [body_of(form.get(second)), body_of(form.get(first))]
    assert body["chat_sessions"] == []


def test_a_chat_app_shows_sessions_newest_first(chat: Client, set_clock: SetClock) -> None:
    """A conversation's app has a session for each generation: the question, then the answer."""
    asked = chat.submitted(("question", "Why?"), ("paper", ("why.txt", b"Because.")))
    claimed = services().store.claim("demo", asked, clock.now())
    assert claimed is not None
    services().store.succeed(claimed, completion("That is why."))
    set_clock.advance(seconds=1)
    waiting = chat.submitted(("question", "When?"))
    chat.set_title(asked, "Reasons")
    paper = {"name": "why.txt", "type": "text/plain", "size": 8}
    assert chat.app() == answer(
        {
            "id": app_id("demo", chat.flow),
            "data": {"name": "Assistant", "inputs": [QUESTION, PAPER]},
            "form_keys_data": {"question": QUESTION, "paper": PAPER},
            "stack_type": "chat",
            "chat_sessions": [
                {
                    "id": waiting,
                    "title": None,
                    "data": [turn("When?", "question", is_bot=False)],
                },
                {
                    "id": asked,
                    "title": "Reasons",
                    "data": [
                        turn("Why?", "question", is_bot=False, files=[paper]),
                        turn("That is why.", "question", is_bot=True),
                    ],
                },
            ],
            "text_generations": [],
        }
    )


def test_a_chat_app_shows_created_sessions_among_the_others(
    chats: Chats,
    set_clock: SetClock,
    work_while_waiting: Callable[[FakeModel | None], None],
) -> None:
    """A created session is shown once with all its turns, empty or not, beside lone generations."""
    work_while_waiting(saying("So."))
    session_id = chats.created("Reasons")
    set_clock.advance(seconds=1)
    alone = chats.client.submitted(("question", "Alone?"))
    chats.said(session_id, "Why?")
    chats.said(session_id, "When?")
    empty = chats.created()
    shown = body_of(chats.client.app())["chat_sessions"]
    assert shown == [
        {"id": empty, "title": None, "data": []},
        {
            "id": alone,
            "title": None,
            "data": [
                turn("Alone?", "question", is_bot=False),
                turn("So.", "question", is_bot=True),
            ],
        },
        {
            "id": session_id,
            "title": "Reasons",
            "data": [
                turn("Why?", "question", is_bot=False),
                turn("So.", "question", is_bot=True),
                turn("When?", "question", is_bot=False),
                turn("So.", "question", is_bot=True),
            ],
        },
    ]


def test_a_question_of_another_api_is_a_session_of_its_own(chat: Client) -> None:
    """A conversation that nobody created here is shown as before, a session for each question."""
    for question in ("Why?", "When?"):
        submission = Submission(
            dialect="unless",
            flow=chat.flow,
            inputs={"question": question},
            template=None,
            external={},
            conversation="session-1",
        )
        services().submitter.submit("demo", submission)
    shown = body_of(chat.app())["chat_sessions"]
    assert sorted(each["data"][0]["message"] for each in shown) == ["When?", "Why?"]


def test_an_app_has_the_documented_fields(chat: Client, form: Client) -> None:
    """Both kinds of app have exactly the documented fields, of the documented types."""
    for app, fields in ((chat, [("question", "Why?")]), (form, [("topic", "Snow")])):
        ended = app.submitted(*fields)
        claimed = services().store.claim("demo", ended, clock.now())
        assert claimed is not None
        services().store.succeed(claimed, completion("So."))
        app.submitted(*fields)
        app.set_title(app.submitted(*fields), "A title")
        body = body_of(app.app())
        assert differences(body, DOCUMENTED_APP) == []
        kinds = [len(body["chat_sessions"]), len(body["text_generations"])]
        assert sorted(kinds) == [0, 3]


def test_an_app_keeps_its_id(
    form: Client, tenant: Tenant, other_tenant: Tenant, client_for: ClientFor
) -> None:
    """An app has one id, whichever key asks and however its form changes, and no other has it."""
    services().registry.put_flow(other_tenant.id, FORM, FORM_DOCUMENT)
    found = body_of(form.app())["id"]
    changed = json.loads(FORM_DOCUMENT) | {"name": "Letters and mails", "inputs": []}
    services().registry.put_flow(tenant.id, FORM, json.dumps(changed))
    body = body_of(client_for(tenant, FORM).app())
    assert (body["id"], body["data"]) == (found, {"name": "Letters and mails", "inputs": [TEXT]})
    theirs = [body_of(client_for(*other).app())["id"] for other in others(tenant, other_tenant)]
    assert len({found, *theirs}) == 3


def others(tenant: Tenant, other_tenant: Tenant) -> list[tuple[Tenant, str]]:
    """Return the tenant's other app, and the other tenant's app of the same flow."""
    return [(tenant, FLOW), (other_tenant, FORM)]


def test_an_app_shows_nobody_elses_generations(
    form: Client, client: Client, other_tenant: Tenant, client_for: ClientFor
) -> None:
    """Generations of other flows, and of other tenants' flows of the same id, are not shown."""
    services().registry.put_flow(other_tenant.id, FORM, FORM_DOCUMENT)
    client_for(other_tenant, FORM).submitted(("topic", "Theirs"))
    client.submitted()
    own = form.submitted(("topic", "Ours"))
    assert [each["id"] for each in body_of(form.app())["text_generations"]] == [own]


def test_an_app_shows_no_more_than_fits(
    client: Client, set_clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of generations with big texts an app shows the newest ones, as many as a response can have.

    And no more than a hundred in any case.
    """
    monkeypatch.setattr(paging, "PAGE_BYTES", 50_000)
    made = []
    for _ in range(4):
        made.append(client.submitted(("text", BIG)))
        set_clock.advance(seconds=1)
    assert shown_in(client) == [made[3], made[2]]
    for number in range(101):
        set_clock.advance(seconds=1)
        made.append(client.submitted(("text", str(number))))
    monkeypatch.undo()
    assert shown_in(client) == made[:-101:-1]


def shown_in(client: Client) -> list[str]:
    """Return the ids of the generations that an app shows."""
    return [each["id"] for each in body_of(client.app())["text_generations"]]


def test_an_expired_generation_is_not_shown(client: Client, set_clock: SetClock) -> None:
    """After the retention an app has no trace of a generation."""
    client.submitted()
    set_clock.advance(days=30)
    assert shown_in(client) == []


# --- who gets in ----------------------------------------------------------------------------------


@pytest.fixture(params=ENDPOINTS)
def endpoint(request: pytest.FixtureRequest) -> str:
    """Return each of the API's endpoints."""
    name: str = request.param
    return name


@pytest.fixture
def event(client: Client, endpoint: str) -> Event:
    """Return the endpoint's event for a generation that is there."""
    generation = client.submitted() if "pathParameters" in client.event(endpoint) else None
    return client.event(endpoint, generation)


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer KEY", None),
        ("bearer KEY", None),
        ("Bearer   KEY ", None),
        (None, "KEY"),
        ("Bearer KEY", "KEY"),
        ("Bearer KEY", "bad"),
        ("Bearer KEY", ""),
    ],
)
def test_a_key_is_taken_in_the_header_and_in_the_query(
    client: Client, header: str | None, token: str | None
) -> None:
    """A key is good as a bearer token and as `token`; the header goes before."""
    generation = client.submitted()
    for endpoint in ENDPOINTS:
        event = client.event(endpoint)
        if "pathParameters" in event:
            event["pathParameters"]["text_gen_id"] = generation
        sent_with(event, header, token, client.key)
        assert send(endpoint, event)["statusCode"] == 200


@pytest.mark.parametrize(
    ("header", "token", "message"),
    [
        (None, None, "An API key is needed."),
        (None, "", "The API key must not be empty in the parameter token."),
        ("", None, "Authorization: must be 'Bearer' and the API key, not empty."),
        ("Bearer", None, "Authorization: must have the API key after 'Bearer'."),
        ("Basic YTpi", None, "Authorization: must have the scheme 'Bearer', not another one."),
        ("KEY", None, "Authorization: must have 'Bearer' before the API key."),
        ("Bearer nonsense", None, "The API key is malformed or mistyped."),
        (None, "nonsense", "The API key is malformed or mistyped."),
        (None, "Bearer KEY", "The API key must stand alone, without a 'Bearer' of its own."),
        (None, "KEY,KEY", "The API key is malformed or mistyped."),
        (None, "\ud800", "The API key is malformed or mistyped."),
        ("Bearer UNKNOWN", None, "The API key is not known."),
        (None, "UNKNOWN", "The API key is not known."),
        ("", "KEY", "Authorization: must be 'Bearer' and the API key, not empty."),
        ("Basic YTpi", "KEY", "Authorization: must have the scheme 'Bearer', not another one."),
        ("Bearer nonsense", "KEY", "The API key is malformed or mistyped."),
        ("Bearer UNKNOWN", "KEY", "The API key is not known."),
    ],
)
def test_without_a_good_key_nobody_gets_in(
    client: Client,
    stored: Callable[[], Stored],
    header: str | None,
    token: str | None,
    message: str,
) -> None:
    """No key, a malformed and an unknown one get 401, also where the query has a good one."""
    for endpoint in ENDPOINTS:
        event = client.event(endpoint)
        sent_with(event, header, token, client.key)
        assert send(endpoint, event) == unauthorized(message)
    assert stored() == NOTHING


def sent_with(event: Event, header: str | None, token: str | None, key: str) -> None:
    """Send the header and the query's token; KEY and UNKNOWN are the key and one of nobody."""
    del event["headers"]["authorization"]
    names = {"KEY": key, "UNKNOWN": keys.generate_key()[1]}
    for name, sent in (("authorization", header), ("token", token)):
        for word, value in names.items():
            sent = value.join(sent.split(word)) if sent is not None else None  # noqa: PLW2901 - filled in
        if sent is not None and name == "token":
            event["queryStringParameters"] = {name: sent}
        elif sent is not None:
            event["headers"][name] = sent


def test_a_revoked_key_is_refused_after_a_minute(
    client: Client, endpoint: str, event: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key in use is refused a minute after its revocation at the latest."""
    seconds = 0.0
    services.cache_clear()
    monkeypatch.setattr(authentication, "time", SimpleNamespace(monotonic=lambda: seconds))
    assert send(endpoint, event)["statusCode"] == 200
    credential = keys.parse_key(client.key)
    assert credential is not None
    services().registry.revoke_key(client.tenant, credential.key_id)
    seconds = 60.0
    assert send(endpoint, event) == unauthorized("The API key is revoked.")


def test_a_key_without_an_app_has_none(
    tenant: Tenant, client: Client, endpoint: str, stored: Callable[[], Stored]
) -> None:
    """A key that is for no flow gets 404, whatever its tenant has."""
    event = client.event(endpoint)
    event["headers"]["authorization"] = f"Bearer {tenant.key}"
    assert send(endpoint, event) == NO_APP
    assert stored() == NOTHING


def test_a_key_without_an_app_reads_no_generation(tenant: Tenant, client: Client) -> None:
    """A key that is for no flow gets no generation, even one of its tenant."""
    generation = client.submitted()
    for endpoint in ("get_text_generation", "update_text_generation"):
        for change in ({}, {"body": "{}"}):
            event = client.event(endpoint, generation) | change
            event["headers"]["authorization"] = f"Bearer {tenant.key}"
            assert send(endpoint, event) == NO_APP
    assert body_of(client.get(generation))["title"] is None


@pytest.mark.parametrize(("header", "token"), [("Bearer KEY", None), (None, "KEY")])
def test_no_key_is_logged(  # noqa: PLR0913, PLR0917 - texts, and where none may be
    client: Client,
    endpoint: str,
    log: io.StringIO,
    cut_off: Callable[[str], None],
    header: str | None,
    token: str | None,
) -> None:
    """Whether a request is accepted, refused or fails, no line of the log has its key."""
    credential = keys.parse_key(client.key)
    assert credential is not None
    generation = client.submitted()
    path = generation if "pathParameters" in client.event(endpoint) else None
    mistyped = client.key[:-1] + ("0" if client.key[-1] != "0" else "1")
    statuses = []
    for key in (client.key, mistyped, "\0" + client.key):
        event = client.event(endpoint, path)
        sent_with(event, header, token, key)
        statuses.append(send(endpoint, event)["statusCode"])
    for operation in ("GetItem", "Query", "PutItem", "UpdateItem"):
        cut_off(f"dynamodb.{operation}")
    event = client.event(endpoint, path)
    sent_with(event, header, token, client.key)
    statuses.append(send(endpoint, event)["statusCode"])
    assert statuses == [200, 401, 401, 503]
    assert "refused" in log.getvalue()
    assert credential.secret not in log.getvalue()
    assert mistyped not in log.getvalue()


@pytest.mark.parametrize("function", ["submit_mail_generation", "get_mail_generation"])
def test_an_apps_key_is_good_for_its_own_orchestrator_only(  # noqa: PLR0913, PLR0917 - two APIs
    tenant: Tenant,
    client: Client,
    client_for: ClientFor,
    submission_event: Event,
    reading_event: Callable[[str], Event],
    function: str,
) -> None:
    """In Dialonce's API an app's key gets 404 for any orchestrator but its own flow."""
    services().registry.put_flow(tenant.id, "second", FLOW_DOCUMENT)
    second = client_for(tenant, "second")
    own = client.submitted()
    is_reading = function == "get_mail_generation"
    event = reading_event(own) if is_reading else submission_event
    event["headers"]["authorization"] = f"Bearer {second.key}"
    no_flow = conftest.refusal(404, "There is no such flow.")
    assert invoke(function, event) == no_flow
    event["pathParameters"]["orchestratorCuid"] = "absent"
    assert invoke(function, event) == no_flow
    event["pathParameters"]["orchestratorCuid"] = "second"
    result = invoke(function, event)
    if is_reading:
        assert result == conftest.NO_SUCH_GENERATION
    else:
        assert result["statusCode"] == 200
    event["headers"]["authorization"] = f"Bearer {client.key}"
    event["pathParameters"]["orchestratorCuid"] = FLOW
    assert invoke(function, event)["statusCode"] == 200


def test_a_body_that_is_too_large_is_refused(
    client: Client, endpoint: str, event: Event, stored: Callable[[], Stored]
) -> None:
    """A body of more than 6 MB is refused at every endpoint, in FastAPI's shape."""
    before = stored()
    event["body"] = "x" * 6_000_001
    assert client.tenant == "demo"
    assert send(endpoint, event) == refusal(
        413, "The body must have at most 6000000 bytes, not 6000001."
    )
    assert stored() == before
