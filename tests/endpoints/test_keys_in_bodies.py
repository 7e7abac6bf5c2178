"""The API key in a body, which Promptitude deprecates and its clients still send."""

import base64
import gzip
import io
import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import pytest
from urllib3 import encode_multipart_formdata

from afterword.engine import waiting
from afterword.handlers import http
from afterword.runtime import json_text
from afterword.services import services
from afterword.tenants import keys
from afterword.tenants.keys import Scope
from tests.conftest import Call, Event, LambdaContext, Tenant
from tests.harness.api import Api, invoke, load_event, parsed
from tests.harness.contents import answer
from tests.harness.promptitude import put_flow
from tests.harness.stand_in_aws import BUCKETS, TABLES, read_items, read_object_keys

PROMPT_ID = "eFAoQyBaLDD4RG4n4kMe"
EXAMPLE = {"prompt": {"promptId": PROMPT_ID, "inputs": {"profession": "developers"}}}
"""The documentation's example of a key in a body, without the key."""
CONTENT = {"name": "Refunds", "text": "Soon."}
BODIES: Mapping[str, Any] = {
    "generate_flow": {"flow": {"inputs": {"profession": "developers"}}},
    "generate_prompt": EXAMPLE,
    "rate_flow_log": {"rating": {"rating": 3}},
    "create_content": CONTENT,
    "update_content": CONTENT,
    "remove_content": {},
}
"""The requests that may have a body, by function."""
NEEDED = answer(401, "An API key is needed.", www_authenticate="Bearer")
UNKNOWN = answer(401, "The API key is malformed or mistyped.", www_authenticate="Bearer")
DIFFERENT = answer(401, "apiKey: must be the request's only key.", www_authenticate="Bearer")
FORMS = ("create_content", "update_content")
"""The functions whose JSON is a form."""

type Send = Callable[..., dict[str, Any]]


@pytest.fixture
def key(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a key for all, of a tenant with the example's prompt; no request waits."""
    monkeypatch.setattr(waiting, "WAIT_SECONDS", 0.0)
    step = {"name": "step1", "prompt": "A joke about {{profession}}."}
    put_flow(tenant, id=PROMPT_ID, inputs=[{"name": "profession"}], steps=[step])
    return make_key(tenant)


def make_key(tenant: Tenant) -> str:
    """Return a new key for all that the tenant has."""
    return services().registry.create_key(tenant.id, [*Scope])[1]


@pytest.fixture
def send(key: str) -> Send:
    """Return a function that sends a body without a header for the key, by default."""
    owner = Api(key)
    made = owner.call("create_content", {**CONTENT, "externalId": "terms-1"})
    content = made["body"]["results"]["id"]
    run = owner.call("generate_prompt", EXAMPLE)["body"]["results"]["logId"]

    def call(function: str, body: object, header: str | None = None) -> dict[str, Any]:
        names = {"flowId": PROMPT_ID, "logId": run, "contentId": content}
        event = Api(header or "", names).event(function, body)
        return parsed(invoke(function, event, LambdaContext()))

    return call


def post_form(content_type: str, body: str | bytes, header: str = "") -> dict[str, Any]:
    """Create a content by a form, without a header for the key by default."""
    event: Event = load_event("create_content")
    event["headers"] = {"content-type": content_type}
    if header:
        event["headers"]["authorization"] = f"Bearer {header}"
    text = body if isinstance(body, str) else body.decode()
    return parsed(invoke("create_content", {**event, "body": text}, LambdaContext()))


def test_the_documentations_example_is_taken(send: Send, key: str) -> None:
    """The example of the documentation, with the key first in its body, is a run."""
    result = send("generate_prompt", {"apiKey": key, **EXAMPLE})
    assert result["statusCode"] == 504
    assert result["body"]["results"].keys() == {"logId"}


@pytest.mark.parametrize("function", BODIES)
def test_a_key_in_a_body_opens_what_it_opens_in_the_header(
    send: Send, key: str, function: str
) -> None:
    """A body's key alone, or the same one in both places, is as good as the header's."""
    if function == "remove_content":
        assert send(function, {"apiKey": key})["statusCode"] == 200
        return
    expected = send(function, BODIES[function], key)
    assert expected["statusCode"] in {200, 504}
    for header in (None, key):
        result = send(function, {**BODIES[function], "apiKey": key}, header)
        assert result["statusCode"] == expected["statusCode"]
        assert result["body"].keys() == expected["body"].keys()


@pytest.mark.parametrize("function", BODIES)
@pytest.mark.usefixtures("send")
def test_a_key_in_a_packed_body_is_found(key: str, function: str) -> None:
    """A body with gzip may have the key in it; one that cannot be unpacked says so."""
    names = {"flowId": PROMPT_ID, "contentId": "none", "logId": "none"}
    event = Api("", names).event(function, {**BODIES[function], "apiKey": key})
    packed = gzip.compress(event["body"].encode())
    event |= {"body": base64.b64encode(packed).decode(), "isBase64Encoded": True}
    event["headers"]["content-encoding"] = "gzip"
    found = parsed(invoke(function, event, LambdaContext()))
    assert found["statusCode"] in {200, 404, 504}
    event["headers"]["content-encoding"] = "br"
    refused = parsed(invoke(function, event, LambdaContext()))
    assert (refused["statusCode"], refused["body"]["code"]) == (415, 415)


@pytest.mark.parametrize("function", BODIES)
def test_two_different_keys_are_refused(
    send: Send, key: str, tenant: Tenant, function: str
) -> None:
    """Another good key in the body than in the header is 401 and says so, either way round."""
    other = make_key(tenant)
    for first, second in ((other, key), (key, other), ("nonsense", key), (7, key)):
        result = send(function, {**BODIES[function], "apiKey": first}, second)
        assert result == DIFFERENT
    assert send(function, {**BODIES[function], "apiKey": key}, "nonsense") == UNKNOWN


@pytest.mark.parametrize("function", BODIES)
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, NEEDED),
        ("", NEEDED),
        (True, NEEDED),
        ([], NEEDED),
        ({"apiKey": "x"}, NEEDED),
        (7, NEEDED),
        ("nonsense", NEEDED),
        ("\ud800", NEEDED),
        ("aw_é_\x00", NEEDED),
        ("aw_" + "x" * 100_000, NEEDED),
        ("aw_nonsense", UNKNOWN),
    ],
)
def test_what_is_no_key_is_refused(
    send: Send, function: str, value: object, expected: dict[str, Any]
) -> None:
    """A body without a good key is 401, like a header without one."""
    assert send(function, {**BODIES[function], "apiKey": value}) == expected


@pytest.mark.parametrize("function", BODIES)
def test_a_key_elsewhere_is_none(send: Send, key: str, function: str) -> None:
    """Only a member of the body itself is a key, and it is one beside members of others."""
    nested = send(function, {**BODIES[function], "more": {"apiKey": key}})
    assert nested["statusCode"] == 400 if function in FORMS else nested == DIFFERENT
    assert send(function, [{"apiKey": key}]) == NEEDED
    assert send(function, f'{{"apiKey": "{key}"')["statusCode"] == 400


@pytest.mark.parametrize("function", [each for each in BODIES if each not in FORMS])
def test_a_foreign_member_hides_no_key(send: Send, key: str, function: str) -> None:
    """A member of the same name in another object, without a key in it, is nobody's."""
    body = {"metadata": {"apiKey": "crm-123"}, **BODIES[function], "apiKey": key}
    assert send(function, body)["statusCode"] in {200, 504}


@pytest.mark.parametrize("function", ["list_folders", "get_flow_log"])
def test_a_request_without_a_body_may_have_the_key_in_one(
    send: Send, key: str, function: str
) -> None:
    """A body that has no other use may have the key, as a member of its own."""
    assert send(function, {"apiKey": key})["statusCode"] in {200, 202}
    assert send(function, {"more": {"apiKey": key}}) == DIFFERENT


def test_a_costly_body_is_not_parsed_for_a_stranger(
    send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a key no body of JSON is parsed, though the field's name is in it."""

    def fail(*_args: object, **_kwargs: object) -> None:
        pytest.fail("The body was parsed.")

    monkeypatch.setattr(json_text, "parse_object", fail)
    monkeypatch.setattr(json_text, "parse_texts", fail)
    for function in BODIES:
        body = '{"more": [' + "[]," * 1_000 + '[]], "apiKey": "x"}'
        assert send(function, body) == NEEDED
        assert send(function, body.replace('"x"', '"aw_x"')) == UNKNOWN


@pytest.mark.parametrize("value", [None, "", []])
def test_an_empty_key_in_a_form_is_none(send: Send, key: str, value: object) -> None:
    """An empty field counts as not sent, and is no unknown field of a content."""
    assert send("create_content", {**CONTENT, "apiKey": value}, key)["statusCode"] == 200


def test_a_form_may_have_the_key(key: str, tenant: Tenant) -> None:
    """Forms of both kinds are taken with the key as a field, and refused with two of them."""
    other = make_key(tenant)
    urlencoded = "application/x-www-form-urlencoded"
    fields = {**CONTENT, "apiKey": key}
    assert post_form(urlencoded, urlencode(fields))["statusCode"] == 200
    assert post_form(urlencoded, urlencode(fields), key)["statusCode"] == 200
    assert post_form(urlencoded, urlencode(fields), other) == DIFFERENT
    assert post_form(urlencoded, urlencode([*fields.items(), ("apiKey", other)])) == DIFFERENT
    body, multipart = encode_multipart_formdata(fields)
    assert post_form(multipart, body)["statusCode"] == 200
    assert post_form(multipart, body, other) == DIFFERENT
    assert post_form(multipart, body[:-9]) == NEEDED
    assert post_form("text/plain", urlencode(fields))["statusCode"] == 400
    file, multipart = encode_multipart_formdata({**CONTENT, "apiKey": ("key.txt", key)})
    assert post_form(multipart, file) == NEEDED


def test_json_has_the_key_with_any_content_type(key: str) -> None:
    """The content type that curl sends without being asked is no form of a JSON body."""
    event = load_event("generate_prompt")
    event["headers"] = {"content-type": "application/x-www-form-urlencoded"}
    event["body"] = json.dumps({**EXAMPLE, "apiKey": key})
    assert invoke("generate_prompt", event, LambdaContext())["statusCode"] == 504


def test_the_key_of_a_body_is_bound_and_scoped_as_ever(send: Send, tenant: Tenant) -> None:
    """A body's key that lacks the scope, or is for another flow, is refused as in a header."""
    reader = tenant.key_with(Scope.READ)
    refused = send("generate_prompt", {**EXAMPLE, "apiKey": reader})
    assert refused == answer(403, "The API key does not have the scope 'submit'.")
    _, bound = services().registry.create_key(tenant.id, [Scope.SUBMIT], flow="mail-reply")
    absent = answer(404, "There is no such flow.")
    assert send("generate_prompt", {**EXAMPLE, "apiKey": bound}) == absent


def test_the_key_of_a_body_too_large_learns_of_the_bound(send: Send, key: str) -> None:
    """A body above the bound is 413, whether its key is in the body or in the header."""
    body = {"apiKey": key, "more": "x" * http.MAX_BODY_BYTES}
    assert send("rate_flow_log", body)["statusCode"] == 413
    assert send("rate_flow_log", body, key)["statusCode"] == 413


def test_a_key_in_a_body_is_kept_nowhere(
    send: Send, key: str, log: io.StringIO, capfd: pytest.CaptureFixture[str], calls: list[Call]
) -> None:
    """Neither a log line, nor an item, an object, a message or an answer has the key's secret."""
    credential = keys.parse_key(key)
    assert credential is not None
    answers = [
        send(function, {**body, "apiKey": sent}, header)
        for function, body in BODIES.items()
        for sent, header in ((key, None), (key, "nonsense"), (f"{key}x", None))
    ]
    form = urlencode({**CONTENT, "apiKey": key, "unknown": "1"})
    answers.append(post_form("application/x-www-form-urlencoded", form))
    assert answers[-1]["statusCode"] == 422
    captured = capfd.readouterr()
    seen = [log.getvalue(), captured.out, captured.err, json.dumps(answers)]
    seen += [str(call.params) for call in calls]
    seen += [str(read_items(table)) for table in TABLES]
    seen += [str(read_object_keys(bucket)) for bucket in BUCKETS]
    assert log.getvalue()
    assert not [text for text in seen if credential.secret in text]
