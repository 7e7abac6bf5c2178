"""Asking a question through Unless' API: the handler with its event, under moto."""

import json
from collections.abc import Callable

import pytest

from afterword.limits import Limits
from afterword.services import services
from afterword.tenants.keys import Scope
from tests.conftest import FLOW, Call, Event, Stored, Tenant
from tests.harness.api import invoke
from tests.harness.unless import (
    ASKED,
    CHAT,
    NOT_THEIRS,
    SESSION,
    WEBSITE,
    Visitor,
    answer,
    put_flow,
    refusal,
)

NOTHING = Stored(items=0, messages=0, objects=0)


def bound(visitor: Visitor, flow: str = WEBSITE) -> Visitor:
    """Return the client with a key that is for one flow alone."""
    scopes = [Scope.SUBMIT, Scope.READ]
    _, key = services().registry.create_key(visitor.tenant, scopes, flow=flow)
    return Visitor(visitor.load, visitor.tenant, key)


def test_the_sample_event_is_accepted(
    tenant: Tenant, load_event: Callable[[str], Event], stored: Callable[[], Stored]
) -> None:
    """A question with all of the documented headers is accepted, with the id as a UUID."""
    event = load_event("submit_query")
    event["headers"]["x-api-key"] = tenant.key
    result = invoke("submit_query", event)
    question_id = json.loads(result["body"])["questionId"]
    assert result == answer({"questionId": question_id})
    assert stored() == Stored(items=1, messages=1, objects=0)
    assert services().store.get("demo", question_id).flow == FLOW


def test_a_question_is_the_flows_first_text(visitor: Visitor) -> None:
    """The query becomes the first input that is a text, before the others and their defaults."""
    inputs = [
        {"name": "tone", "kind": "choice", "options": ["dry", "warm"], "default": "warm"},
        {"name": "what", "kind": "text"},
        {"name": "more", "required": False},
    ]
    put_flow(visitor.tenant, inputs=inputs)
    listed = services().store.get_detail("demo", visitor.asked("Where is {{tone}} [x]?"))
    assert list(listed.inputs.items()) == [("what", "Where is {{tone}} [x]?"), ("tone", "warm")]
    assert listed.conversation == SESSION


def test_a_flow_without_inputs_takes_a_question(visitor: Visitor) -> None:
    """A flow that declares nothing asks for one text: the query."""
    put_flow(visitor.tenant, inputs=[])
    listed = services().store.get_detail("demo", visitor.asked("Hello?"))
    assert listed.inputs == {"text": "Hello?"}


def test_what_is_sent_is_kept_for_the_owner(visitor: Visitor) -> None:
    """Ids, the conversation's name and the metadata are kept as they were sent, but no address."""
    text = '{"b": 1.50, "a": [null, "é"],  "b": 2e3}'
    body = (
        '{"metadata": %s, "query": "Hi?", "sessionId": "s", "visitorId": "v", "segmentId": "g",'
        ' "audienceId": "a", "conversationName": "Billing", "unknown": {"x": 1}}'
    )
    result = visitor.post(body % text, x_user_email="somebody@example.com")
    generation = services().store.get("demo", json.loads(result["body"])["questionId"])
    assert generation.external == {
        "visitorId": '"v"',
        "segmentId": '"g"',
        "conversationName": '"Billing"',
        "audienceId": '"a"',
        "metadata": text,
    }


@pytest.mark.parametrize("name", ["segmentId", "metadata", "conversationName", "audienceId"])
def test_null_is_as_if_it_were_not_sent(visitor: Visitor, name: str) -> None:
    """An optional field may be null."""
    generation = services().store.get("demo", visitor.asked(**{name: None}))
    assert generation.external == {"visitorId": '"visitor-1"'}


def test_an_address_is_neither_stored_nor_logged(
    visitor: Visitor,
    calls: list[Call],
    log_lines: Callable[[], list[dict[str, object]]],
) -> None:
    """The user's address is checked and forgotten."""
    for website, status in ((WEBSITE, 200), ("absent", 403)):
        headers = {"x_user_email": "somebody@example.com", "x_website_id": website}
        assert visitor.post(json.dumps(ASKED), **headers)["statusCode"] == status
    assert "somebody" not in repr(calls) + repr(log_lines())
    assert log_lines()


@pytest.mark.parametrize(
    "email", ["", "somebody", "@example.com", "a b@example.com", "a@", "a@b@c"]
)
def test_an_address_must_look_like_one(
    visitor: Visitor, stored: Callable[[], Stored], email: str
) -> None:
    """A text that is no address is refused, and not repeated."""
    refused = refusal(400, "x-user-email: must be an e-mail address.")
    assert visitor.post(json.dumps(ASKED), x_user_email=email) == refused
    assert stored() == NOTHING


def test_a_key_may_come_as_a_bearer_token(visitor: Visitor) -> None:
    """`Authorization: Bearer` is taken too."""
    key = visitor.key
    plain = Visitor(visitor.load, visitor.tenant, "")
    assert plain.post(json.dumps(ASKED), authorization=f"Bearer {key}")["statusCode"] == 200


def test_account_and_website_must_be_the_keys_own(
    visitor: Visitor, other_tenant: Tenant, stored: Callable[[], Stored]
) -> None:
    """An account or website that is absent or another's gets one and the same 403."""
    put_flow(other_tenant.id, id="theirs")
    body = json.dumps(ASKED)
    for account in ("other", "nobody", "", "Demo"):
        assert visitor.post(body, x_account_id=account) == NOT_THEIRS
        assert visitor.post(body, x_account_id=account, x_website_id=WEBSITE) == NOT_THEIRS
    for website in ("theirs", "absent", "", "../x", "mail reply", "x" * 300):
        assert visitor.post(body, x_website_id=website) == NOT_THEIRS
        assert bound(visitor).post(body, x_website_id=website) == NOT_THEIRS
    assert bound(visitor).post(body, x_website_id=FLOW) == NOT_THEIRS
    assert stored() == NOTHING


def test_all_headers_may_be_sent(visitor: Visitor) -> None:
    """With its own account and website, a question goes to that website."""
    headers = {"x_account_id": "demo", "x_website_id": FLOW, "x_user_email": "a@example.com"}
    result = visitor.post(json.dumps(ASKED), **headers)
    generation = services().store.get("demo", json.loads(result["body"])["questionId"])
    assert generation.flow == FLOW


def test_a_bound_key_needs_no_website(visitor: Visitor) -> None:
    """A key that is for one flow says which website is meant; naming it again is fine."""
    client = bound(visitor, FLOW)
    assert services().store.get("demo", client.asked()).flow == FLOW
    assert client.post(json.dumps(ASKED), x_website_id=FLOW)["statusCode"] == 200


@pytest.mark.parametrize(("count", "there"), [(0, "no flow"), (2, "several flows")])
def test_a_website_is_needed_where_it_is_not_clear(
    visitor: Visitor, stored: Callable[[], Stored], count: int, there: str
) -> None:
    """Without a website the tenant's only chat is meant; with none or several, the header is."""
    assert services().store.get("demo", visitor.asked()).flow == WEBSITE
    before = stored()
    put_flow(visitor.tenant, type="chat" if count else "text_generation")
    if count:
        put_flow(visitor.tenant, id="second")
    message = f"x-website-id: must be sent, as the account has {there} of the type chat."
    assert visitor.ask() == refusal(400, message)
    assert stored() == before


def test_no_flow_is_read_beyond_a_second_chat(visitor: Visitor, calls: list[Call]) -> None:
    """Two chats are enough to refuse a question: the pages of flows behind them are not read."""
    for number in range(4):
        document = json.dumps({"type": "text_generation", "name": "x" * 340_000})
        services().registry.put_flow(visitor.tenant, f"z{number}", document)
    calls.clear()
    assert visitor.ask()["statusCode"] == 200
    assert count_queries(calls) > 1
    put_flow(visitor.tenant, id="second")
    calls.clear()
    assert visitor.ask()["statusCode"] == 400
    assert count_queries(calls) == 1


def count_queries(calls: list[Call]) -> int:
    """Return the number of pages that were read."""
    return sum(call.operation == "dynamodb.Query" for call in calls)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"query": None}, "query: must be present."),
        ({"query": 7}, "query: must be a string."),
        ({"query": ""}, "query: must not be blank."),
        ({"query": " \n\t\u00a0"}, "query: must not be blank."),
        ({"query": "x" * 10_001}, "query: must be at most 10000 characters, not 10001."),
        ({"query": "x" * 102_400}, "query: must be at most 10000 characters, not 102400."),
        ({"sessionId": None}, "sessionId: must be present."),
        ({"sessionId": ""}, "sessionId: must be a string of 1 to 255 characters."),
        ({"sessionId": "x" * 256}, "sessionId: must be a string of 1 to 255 characters."),
        ({"sessionId": ["s"]}, "sessionId: must be a string of 1 to 255 characters."),
        ({"visitorId": None}, "visitorId: must be present."),
        ({"visitorId": 1}, "visitorId: must be a string of 1 to 255 characters."),
        ({"segmentId": {}}, "segmentId: must be a string of 0 to 255 characters."),
        ({"audienceId": "x" * 256}, "audienceId: must be a string of 0 to 255 characters."),
        ({"conversationName": 1}, "conversationName: must be a string of 0 to 255 characters."),
        ({"metadata": "x"}, "metadata: must be a JSON object."),
        ({"metadata": []}, "metadata: must be a JSON object."),
        ({"metadata": {"a": "x" * 1_000_000}}, "metadata: must be at most 1000000 bytes."),
    ],
)
def test_a_body_that_is_wrong_is_refused(
    visitor: Visitor, stored: Callable[[], Stored], fields: dict[str, object], message: str
) -> None:
    """A field's fault is a 400 that names it, and nothing is stored."""
    body = {name: value for name, value in {**ASKED, **fields}.items() if value is not None}
    assert visitor.post(json.dumps(body)) == refusal(400, message)
    assert stored() == NOTHING


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "The body is not JSON: Expecting value at line 1, column 1."),
        ("[]", "The body must be a JSON object."),
        ('{"query": NaN}', "The body is not JSON: NaN is not a JSON value."),
        (
            '{"query": "\\ud800", "sessionId": "s", "visitorId": "v"}',
            "The body has half of a surrogate pair (\\ud800 to \\udfff), which is no character.",
        ),
    ],
)
def test_a_body_that_is_no_object_is_refused(visitor: Visitor, body: str, message: str) -> None:
    """A body that is no JSON object is a 400 that says where."""
    assert visitor.post(body) == refusal(400, message)


def test_a_flow_may_take_less(visitor: Visitor) -> None:
    """A question that is longer than the flow's input is refused as what the client sent."""
    put_flow(visitor.tenant, inputs=[{"name": "what", "max_length": 5}])
    message = "query: must be at most 5 characters, not 6."
    assert visitor.ask("123456") == refusal(400, message)
    assert visitor.ask("12345")["statusCode"] == 200
    put_flow(visitor.tenant, inputs=[{"name": "what", "max_length": 50_000, "kind": "long_text"}])
    assert visitor.ask("x" * 10_001)["statusCode"] == 400
    assert visitor.ask("x" * 10_000)["statusCode"] == 200


def test_a_flow_that_asks_for_more_is_refused(
    visitor: Visitor, stored: Callable[[], Stored]
) -> None:
    """A flow with another required input, or no text, takes no questions, and the error says it."""
    put_flow(visitor.tenant, inputs=[*CHAT["inputs"], {"name": "product"}])
    assert visitor.ask() == refusal(400, "product: must be sent.")
    put_flow(visitor.tenant, inputs=[{"name": "count", "kind": "number"}])
    assert visitor.ask() == refusal(
        400, "query: must go to a website whose flow has an input of text."
    )
    assert stored() == NOTHING


def test_a_repeated_question_is_one(visitor: Visitor, stored: Callable[[], Stored]) -> None:
    """With one Idempotency-Key a question is asked once; for another session the key is used."""
    key = {"idempotency_key": "a-key"}
    first = visitor.post(json.dumps(ASKED), **key)
    assert visitor.post(json.dumps(ASKED), **key) == first
    assert stored().items == 1
    other = json.dumps({**ASKED, "sessionId": "another"})
    message = "The Idempotency-Key was used before, for another request."
    assert visitor.post(other, **key) == refusal(422, message)


def test_a_deadline_is_taken(visitor: Visitor) -> None:
    """`Afterword-Deadline` says how long an answer is of use."""
    result = visitor.post(json.dumps(ASKED), afterword_deadline="30")
    generation = services().store.get("demo", json.loads(result["body"])["questionId"])
    assert (generation.deadline_at - generation.created_at).total_seconds() == 30
    message = "Afterword-Deadline: must be a whole number of seconds from 10 to 21600."
    assert visitor.post(json.dumps(ASKED), afterword_deadline="soon") == refusal(400, message)


def test_limits_hold_here_too(visitor: Visitor, stored: Callable[[], Stored]) -> None:
    """Over the tenant's limit the answer is 429 with Retry-After, and nothing is stored."""
    services().registry.set_limits("demo", Limits(running_at_once=1))
    assert visitor.ask()["statusCode"] == 200
    before = stored()
    refused = visitor.ask()
    assert (refused["statusCode"], refused["headers"].keys() >= {"retry-after"}) == (429, True)
    assert list(json.loads(refused["body"])) == ["error"]
    assert stored() == before


def test_a_question_leaves_no_word_in_the_log(
    visitor: Visitor, log_lines: Callable[[], list[dict[str, object]]]
) -> None:
    """Neither an accepted nor a refused question is logged, nor who asked it."""
    words = {"query": "Xylophone?", "sessionId": "Yttrium", "visitorId": "Quokka"}
    more = {"metadata": {"Wombat": "Narwhal"}, "conversationName": "Axolotl", "segmentId": "Okapi"}
    assert visitor.ask(**words, **more)["statusCode"] == 200
    assert visitor.ask(**words, **more, audienceId=["Pangolin"])["statusCode"] == 400
    assert len(log_lines()) == 2
    logged = repr(log_lines()).lower()
    private = [*words.values(), "Wombat", "Narwhal", "Axolotl", "Okapi", "Pangolin"]
    assert [word for word in private if word.strip("?").lower() in logged] == []
