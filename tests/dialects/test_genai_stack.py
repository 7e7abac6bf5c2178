"""The GenAI Stack dialect: requests into what is asked for, generations into responses."""

import base64
import json
import uuid
from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus

import pytest

from afterword.dialects import genai_stack
from afterword.dialects.genai_stack import Update
from afterword.dialects.genai_stack.submission import parse_submission
from afterword.errors import (
    AfterwordError,
    ConflictError,
    ForbiddenError,
    InvalidRequestError,
    KeyReusedError,
    NotFoundError,
    TooLargeError,
    UnauthenticatedError,
    UnavailableError,
    UnprocessableError,
)
from afterword.files import StoredFile, SubmittedFile
from afterword.generations import Generation, Reason, Status, Submission
from afterword.generations.details import GenerationDetail
from afterword.handlers import paging
from afterword.handlers.http import Request
from afterword.limits import LimitedError
from afterword.runtime.pages import Page
from afterword.tenants import StoredFlow
from afterword.tenants.keys import ApiKey, Scope
from tests.conftest import FLOW, START
from tests.harness.fake_model import completion

ID = "019a6f3e-7c00-7000-8000-000000000001"
OTHER_ID = "019a6f3e-7c00-7000-8000-000000000002"
PHOTO = StoredFile(
    input="photo", name="me.png", media_type="image/png", size=48, key="demo/secret/file-1"
)


def make_request(
    *,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
    text_gen_id: str = ID,
    body: bytes = b"",
) -> Request:
    """Return a request."""
    return Request(
        path={"text_gen_id": text_gen_id}, query=query or {}, headers=headers or {}, body=body
    )


def make_key(flow: str | None = FLOW) -> ApiKey:
    """Return the key of an app, or of none."""
    return ApiKey(
        id="abcdefghijkl",
        tenant="demo",
        hash="",
        scopes=frozenset({Scope.READ}),
        label="",
        created_at=START,
        revoked_at=None,
        flow=flow,
    )


def make_flow(**document: object) -> StoredFlow:
    """Return a flow as the registry gives it."""
    return StoredFlow(FLOW, 1, json.dumps({"id": FLOW, "name": "Mails", **document}), START)


def make_listed(
    status: Status = Status.QUEUED,
    *,
    generation_id: str = ID,
    flow: str = FLOW,
    inputs: Mapping[str, str | list[str]] | None = None,
    files: tuple[StoredFile, ...] = (),
) -> GenerationDetail:
    """Return a generation as the store lists it."""
    failed, succeeded = status is Status.FAILED, status is Status.SUCCEEDED
    return GenerationDetail(
        generation=Generation(
            tenant="demo",
            id=generation_id,
            dialect="genai_stack",
            flow=flow,
            flow_version=1,
            status=status,
            attempt=1,
            created_at=START,
            deadline_at=START + timedelta(hours=1),
            finished_at=START + timedelta(milliseconds=1_234.5) if status.terminal else None,
            external={},
            completion=completion("Dear Ada,\n“é”") if succeeded else None,
            reason=Reason.TIMED_OUT if failed else None,
            message="The model did not answer in time." if failed else None,
            retry_of=None,
            tokens_in=120 if succeeded else None,
            tokens_out=40 if succeeded else None,
        ),
        order=f"1794301200000#{generation_id}",
        inputs={"text": "Hello"} if inputs is None else inputs,
        files=files,
    )


# --- what is asked for ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "query", "key"),
    [
        ({"authorization": "Bearer KEY"}, {}, "KEY"),
        ({"authorization": "bEARER  KEY "}, {"token": "OTHER"}, "KEY"),
        ({}, {"token": "KEY"}, "KEY"),
        ({}, {"token": " KEY"}, " KEY"),
        ({}, {}, None),
        ({"authorization": ""}, {"token": "KEY"}, None),
        ({"authorization": "Basic YTpi"}, {"token": "KEY"}, None),
        ({"authorization": "KEY"}, {}, None),
        ({"x-api-key": "KEY"}, {}, None),
    ],
)
def test_a_key_is_in_the_header_or_else_in_the_query(
    headers: Mapping[str, str], query: Mapping[str, str], key: str | None
) -> None:
    """`Authorization` goes before `token`, also where it has no key of use."""
    assert genai_stack.read_api_key(make_request(headers=headers, query=query)) == key


def test_an_app_is_the_flow_of_the_key() -> None:
    """A key that is for no flow is for no app."""
    assert genai_stack.require_app(make_key()) == FLOW
    with pytest.raises(NotFoundError) as refused:
        genai_stack.require_app(make_key(None))
    assert str(refused.value) == "No stack app is found for this API key."


@pytest.mark.parametrize("text", [ID, ID.upper(), ID[:20] + ID[20:].upper()])
def test_an_id_is_a_uuid_in_either_case(text: str) -> None:
    """An id is a UUID with its hyphens, and stands in lower case from here on."""
    assert genai_stack.parse_text_gen_id(make_request(text_gen_id=text)) == ID


@pytest.mark.parametrize("version", [1, 3, 4, 5, 7, 15])
def test_a_uuid_of_any_version_is_one(version: int) -> None:
    """The version and variant in an id's bits decide nothing."""
    text = str(uuid.UUID(int=uuid.UUID(ID).int & ~(0xF << 76) | version << 76))
    assert genai_stack.parse_text_gen_id(make_request(text_gen_id=text)) == text


@pytest.mark.parametrize("text", ["", "x", f"{{{ID}}}", f"urn:uuid:{ID}", ID.replace("-", "")])
def test_anything_else_is_no_id(text: str) -> None:
    """A text that only Python would read as a UUID is no id in a path."""
    with pytest.raises(InvalidRequestError) as refused:
        genai_stack.parse_text_gen_id(make_request(text_gen_id=text))
    assert str(refused.value) == "text_gen_id: must be a valid UUID."


def test_a_generation_is_its_apps() -> None:
    """Another flow's generation is as absent as any."""
    listed = make_listed()
    assert genai_stack.require_access(listed, listed.generation.flow) is listed
    with pytest.raises(NotFoundError) as refused:
        genai_stack.require_access(listed, "other")
    assert str(refused.value) == "There is no such generation."


def test_a_page_has_a_hundred_where_nothing_is_said() -> None:
    """The first hundred are what a request without a query asks for."""
    assert genai_stack.parse_page(make_request()) == (100, None)
    assert genai_stack.parse_page(make_request(query={"limit": "1"})) == (1, None)
    assert genai_stack.parse_page(make_request(query={"limit": "100"})) == (100, None)


@pytest.mark.parametrize("padding", ["", "=", "=="])
def test_a_cursor_is_where_a_page_ended(padding: str) -> None:
    """A cursor from a link is understood, with the padding that a client may add."""
    order = f"1794301200000#{ID}"
    cursor = base64.urlsafe_b64encode(order.encode()).decode().rstrip("=")
    if padding and (len(cursor) + len(padding)) % 4:
        padding = ""
    asked = make_request(query={"after": cursor + padding})
    assert genai_stack.parse_page(asked) == (100, order)


@pytest.mark.parametrize(
    ("body", "update"),
    [
        (b'{"title": "A"}', Update("A")),
        (b'{"title": null, "status": "failed"}', Update(None)),
        (b'{"title": ""}', Update("")),
        (b'{"title": "a", "title": "b"}', Update("b")),
        (b"{}", None),
        (b'{"Title": "A"}', None),
    ],
)
def test_an_update_has_a_title_or_nothing(body: bytes, update: Update | None) -> None:
    """Null is a title to be taken away; without one there is nothing to change."""
    assert genai_stack.parse_update(body) == update


def test_a_form_becomes_a_submission() -> None:
    """A submission has the form's values and files, its flow and its deadline, and no template."""
    flow = make_flow(inputs=[{"name": "topic"}, {"name": "photo", "kind": "file"}])
    body = (
        b'--B\r\nContent-Disposition: form-data; name="topic"\r\n\r\nSnow\r\n'
        b'--B\r\nContent-Disposition: form-data; name="photo"; filename="a.md"\r\n\r\n# A\r\n'
        b"--B--\r\n"
    )
    headers = {"content-type": "multipart/form-data; boundary=B", "afterword-deadline": "60"}
    assert parse_submission(make_request(headers=headers, body=body), flow) == Submission(
        dialect="genai_stack",
        flow=FLOW,
        inputs={"topic": "Snow"},
        template=None,
        external={},
        files=(
            SubmittedFile(input="photo", name="a.md", media_type="text/markdown", content=b"# A"),
        ),
        deadline=timedelta(seconds=60),
    )


# --- what is answered -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        (Status.QUEUED, "pending"),
        (Status.RUNNING, "processing"),
        (Status.SUCCEEDED, "completed"),
        (Status.FAILED, "failed"),
        (Status.CANCELED, "failed"),
    ],
)
def test_each_status_has_a_word(status: Status, shown: str) -> None:
    """Every status of a generation is one of the four that are shown."""
    assert (
        json.loads(genai_stack.render_text_generation(make_listed(status)).body)["status"] == shown
    )


def test_a_success_is_shown_whole() -> None:
    """A text is shown with its model, tokens and times, to the millisecond."""
    response = genai_stack.render_text_generation(make_listed(Status.SUCCEEDED))
    assert (response.status, response.headers) == (200, {})
    assert json.loads(response.body) == {
        "id": ID,
        "title": None,
        "inputs": {"text": "Hello"},
        "outputs": {"text": "Dear Ada,\n“é”"},
        "logs": "2026-11-10T09:00:00.000Z submitted to mail-reply\n"
        "2026-11-10T09:00:01.234Z succeeded in 1.234 s, attempt 1\n"
        "test-model: 120 tokens in, 40 out",
        "meta_data": {
            "flow": "mail-reply",
            "flow_version": 1,
            "attempts": 1,
            "created_at": "2026-11-10T09:00:00.000Z",
            "finished_at": "2026-11-10T09:00:01.234Z",
            "seconds": 1.234,
            "model": "test-model",
            "tokens_in": 120,
            "tokens_out": 40,
            "stop_reason": "stop",
            "reason": None,
            "message": None,
            "gone": False,
        },
        "status": "completed",
    }


def test_files_are_shown_without_where_they_are() -> None:
    """An input of files has what is known of each: one by itself, several as a list."""
    file = {"name": "me.png", "type": "image/png", "size": 48}
    for files, shown in (((PHOTO,), file), ((PHOTO, PHOTO), [file, file])):
        response = genai_stack.render_text_generation(make_listed(files=files))
        assert json.loads(response.body)["inputs"] == {"text": "Hello", "photo": shown}
        assert PHOTO.key not in response.body


@pytest.mark.parametrize(
    ("kind", "shown", "empty"),
    [
        ("text_generation", "text_generations", "chat_sessions"),
        ("chat", "chat_sessions", "text_generations"),
    ],
)
def test_an_app_shows_its_kind_of_generations(kind: str, shown: str, empty: str) -> None:
    """An app has text generations or sessions, and the other list is empty."""
    listed = [make_listed(), make_listed(Status.SUCCEEDED, generation_id=OTHER_ID)]
    body = json.loads(genai_stack.render_app(make_key(), make_flow(type=kind), listed).body)
    assert body["stack_type"] == kind
    assert [each["id"] for each in body[shown]] == [ID, OTHER_ID]
    assert body[empty] == []


def test_a_flow_without_a_type_is_a_form() -> None:
    """A flow that was saved before there were types shows text generations."""
    body = json.loads(genai_stack.render_app(make_key(), make_flow(), []).body)
    assert body["stack_type"] == "text_generation"


@pytest.mark.parametrize("status", list(Status))
def test_a_session_has_an_answer_once_there_is_one(status: Status) -> None:
    """A session begins with all that was asked, and has the text only of one that succeeded."""
    listed = make_listed(status, inputs={"q": "Why?", "k": ["a", "b"]}, files=(PHOTO,))
    body = json.loads(genai_stack.render_app(make_key(), make_flow(type="chat"), [listed]).body)
    (session,) = body["chat_sessions"]
    asked, *answers = session["data"]
    assert asked == {
        "is_bot": False,
        "message": "Why?\na\nb",
        "chatKey": "q",
        "type": "text",
        "intermediate_steps": "",
        "files": [{"name": "me.png", "type": "image/png", "size": 48}],
    }
    told = [(answer["is_bot"], answer["message"], answer["files"]) for answer in answers]
    assert told == ([(True, "Dear Ada,\n“é”", [])] if status is Status.SUCCEEDED else [])


def test_a_session_may_have_no_text() -> None:
    """A session of files alone has an empty question."""
    listed = make_listed(inputs={}, files=(PHOTO,))
    body = json.loads(genai_stack.render_app(make_key(), make_flow(type="chat"), [listed]).body)
    (asked,) = body["chat_sessions"][0]["data"]
    assert (asked["message"], asked["chatKey"], len(asked["files"])) == ("", "", 1)


def test_the_last_page_has_no_link() -> None:
    """A link is there only where there is more."""
    items = (make_listed(), make_listed(generation_id=OTHER_ID))
    last = genai_stack.render_text_generations(Page(items=items, after=None), 2)
    assert (len(json.loads(last.body)), last.headers) == (2, {})
    more = genai_stack.render_text_generations(Page(items=items, after=items[1].order), 2)
    assert more.body == last.body
    assert more.headers == {"link": more.headers["link"]}


def test_a_page_of_expired_ones_leads_on() -> None:
    """A page may be empty and have a link all the same."""
    page = genai_stack.render_text_generations(Page(items=(), after=f"1794301200000#{ID}"), 2)
    assert page.body == "[]"
    assert "link" in page.headers


def test_a_generation_that_is_too_big_for_a_page_has_one_to_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A page has one generation at least, so that a list always comes to its end."""
    monkeypatch.setattr(paging, "PAGE_BYTES", 10)
    items = (make_listed(), make_listed(generation_id=OTHER_ID))
    page = genai_stack.render_text_generations(Page(items=items, after=None), 2)
    assert [each["id"] for each in json.loads(page.body)] == [ID]
    cursor = base64.urlsafe_b64encode(items[0].order.encode()).decode().rstrip("=")
    assert page.headers["link"] == f'</api/v1/generations?limit=2&after={cursor}>; rel="next"'
    last = genai_stack.render_text_generations(Page(items=items[1:], after=None), 2)
    assert last.headers == {}


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidRequestError("Why."), HTTPStatus.BAD_REQUEST),
        (UnauthenticatedError("Why."), HTTPStatus.UNAUTHORIZED),
        (ForbiddenError("Why."), HTTPStatus.FORBIDDEN),
        (NotFoundError("Why."), HTTPStatus.NOT_FOUND),
        (ConflictError("Why."), HTTPStatus.CONFLICT),
        (TooLargeError("Why."), HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
        (KeyReusedError("Why."), HTTPStatus.UNPROCESSABLE_CONTENT),
        (LimitedError("Why.", 5), HTTPStatus.TOO_MANY_REQUESTS),
        (UnavailableError("Why."), HTTPStatus.SERVICE_UNAVAILABLE),
    ],
)
def test_errors_are_fastapis(error: AfterwordError, status: HTTPStatus) -> None:
    """An error has its status and one sentence, `detail`."""
    response = genai_stack.render_error(error)
    assert (response.status, response.body) == (status, '{"detail": "Why."}')


def test_a_field_that_does_not_fit_is_named_as_fastapi_does() -> None:
    """The fields' faults are a list, each with its location, its message and its type."""
    error = UnprocessableError("topic", "must be sent.", ("age", "must be a number."))
    response = genai_stack.render_error(error)
    assert response.status == HTTPStatus.UNPROCESSABLE_CONTENT
    assert json.loads(response.body) == {
        "detail": [
            {"loc": ["body", "topic"], "msg": "must be sent.", "type": "value_error"},
            {"loc": ["body", "age"], "msg": "must be a number.", "type": "value_error"},
        ]
    }
