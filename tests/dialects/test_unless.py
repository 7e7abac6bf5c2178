"""The Unless dialect: requests into submissions, questions into responses."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

import pytest

from afterword.dialects import unless
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
from afterword.generations import Generation, Reason, Status, Submission
from afterword.generations.details import GenerationDetail
from afterword.handlers.http import Request
from afterword.tenants import StoredFlow
from tests.conftest import START
from tests.harness.fake_model import completion

if TYPE_CHECKING:
    from afterword.dialects.unless.languages import Languages

ID = "019a6f3e-7c00-7000-8000-000000000001"
FLOW = StoredFlow("help-center", 3, '{"inputs": [{"name": "question"}]}', START)
BODY = '{"query": "Why?", "sessionId": "s", "visitorId": "v"}'


class Esperanto:
    """Tells one language of every text."""

    def detect(self, _text: str) -> str:
        """Return it."""
        return "eo"


@pytest.fixture(autouse=True)
def _esperanto(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tell one language in all tests, without the model."""
    languages = cast("Languages", Esperanto())
    monkeypatch.setattr(unless, "_languages", lambda: languages)


def make_request(body: str = BODY, headers: Mapping[str, str] | None = None) -> Request:
    """Return a request with a body and headers."""
    return Request(
        path={},
        query={},
        headers={"x-api-key": "a"} if headers is None else headers,
        body=body.encode(),
    )


def make_listed(status: Status, text: str = "Because.") -> GenerationDetail:
    """Return a question as the store gives it."""
    failed = status is Status.FAILED
    generation = Generation(
        tenant="demo",
        id=ID,
        dialect="unless",
        flow="help-center",
        flow_version=3,
        status=status,
        attempt=1,
        created_at=START,
        deadline_at=START + timedelta(hours=1),
        finished_at=START if status.terminal else None,
        external={},
        completion=completion(text) if status is Status.SUCCEEDED else None,
        reason=Reason.TIMED_OUT if failed else None,
        message="The model did not answer in time." if failed else None,
        retry_of=None,
    )
    return GenerationDetail(
        generation=generation,
        order=f"1794301200000#{ID}",
        inputs={"question": "Why?"},
        files=(),
        conversation="s",
    )


def history(listed: GenerationDetail, *earlier: GenerationDetail) -> Any:  # noqa: ANN401 - JSON
    """Return the history of an answer."""
    body = json.loads(unless.render_answered(listed, earlier).body)
    return body["chatData"]["history"]


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({"x-api-key": "a"}, "a"),
        ({"authorization": "Bearer b"}, "b"),
        ({"x-api-key": "a", "authorization": "Bearer a"}, "a"),
        ({"x-api-key": "", "authorization": "Bearer b"}, "b"),
        ({"authorization": "Basic b"}, None),
        ({}, None),
    ],
)
def test_the_key_is_where_a_client_may_put_it(headers: Mapping[str, str], key: str | None) -> None:
    """The key is that of `x-api-key`, else that of `Authorization: Bearer`."""
    assert unless.read_api_key(make_request(headers=headers)) == key


def test_a_question_becomes_a_submission() -> None:
    """A question is an input of its flow, in its session's conversation."""
    assert unless.parse_submission(
        make_request(headers={"x-api-key": "a", "afterword-deadline": "60"}), FLOW
    ) == Submission(
        dialect="unless",
        flow="help-center",
        inputs={"question": "Why?"},
        template=None,
        external={"visitorId": '"v"'},
        deadline=timedelta(minutes=1),
        conversation="s",
    )


def test_an_empty_text_is_a_text() -> None:
    """An optional field may be empty, and an empty object is metadata."""
    body = BODY[:-1] + ', "segmentId": "", "metadata": { }}'
    external = unless.parse_submission(make_request(body), FLOW).external
    assert external == {"visitorId": '"v"', "segmentId": '""', "metadata": "{ }"}


def test_texts_of_the_longest_are_taken() -> None:
    """Ids of 255 characters and a question of 10,000 are taken, of whatever characters."""
    long = {"query": "é" * 10_000, "sessionId": "😀" * 255, "visitorId": "v" * 255}
    submission = unless.parse_submission(make_request(json.dumps(long)), FLOW)
    assert submission.inputs == {"question": long["query"]}
    assert submission.conversation == long["sessionId"]


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        (Status.QUEUED, {"status": "PENDING"}),
        (Status.RUNNING, {"status": "PROCESSING"}),
        (
            Status.FAILED,
            {"status": "ERROR", "error": "timed_out: The model did not answer in time."},
        ),
        (Status.CANCELED, {"status": "ERROR", "error": "The question was canceled."}),
    ],
)
def test_a_question_is_shown_in_unless_words(status: Status, shown: Mapping[str, str]) -> None:
    """Each status has its word, and an error its sentence."""
    response = unless.render_unanswered(make_listed(status).generation)
    assert response.status is HTTPStatus.OK
    assert json.loads(response.body) == {"questionId": ID, **shown}


def test_turns_have_ids_of_their_own_for_ever() -> None:
    """A turn's id is made from its question's: the same at each look, another for each turn."""
    listed = make_listed(Status.SUCCEEDED)
    ids = [turn["uuid"] for turn in history(listed)]
    assert ids == [turn["uuid"] for turn in history(listed)]
    other = replace(listed, generation=replace(listed.generation, id=f"{ID[:-1]}2"))
    assert len({*ids, *(turn["uuid"] for turn in history(other))}) == 4


def test_a_question_is_in_its_history_once() -> None:
    """Whether or not the conversation that was read has the question, it stands at the end."""
    listed = make_listed(Status.SUCCEEDED)
    other = replace(listed, generation=replace(listed.generation, id=f"{ID[:-1]}2"))
    assert len(history(listed)) == 2
    assert history(listed, listed) == history(listed)
    assert history(other, listed, other)[2:] == history(other)


def test_an_answer_that_no_response_could_have_is_left_out() -> None:
    """A turn that is too big by itself is left out, and the rest is told."""
    assert history(make_listed(Status.SUCCEEDED, "x" * unless.MAX_HISTORY_BYTES)) == []


def test_both_turns_have_a_language() -> None:
    """The language of each turn is told."""
    codes = [turn["languageCode"] for turn in history(make_listed(Status.SUCCEEDED))]
    assert codes == ["eo", "eo"]


@pytest.mark.parametrize("mine", [None, "help-center"])
def test_a_question_belongs_to_its_website(mine: str | None) -> None:
    """A question is the website's that it was sent to, and another's 404."""
    listed = make_listed(Status.QUEUED)
    assert unless.require_access(listed, mine) is listed
    with pytest.raises(NotFoundError, match="There is no such generation"):
        unless.require_access(listed, "another")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidRequestError("Wrong."), 400),
        (UnprocessableError("product", "must be sent."), 400),
        (UnauthenticatedError("No key."), 401),
        (ForbiddenError("No."), 403),
        (NotFoundError("Where?"), 404),
        (ConflictError("There."), 409),
        (TooLargeError("Big."), 413),
        (KeyReusedError("Again."), 422),
        (UnavailableError("Later."), 503),
    ],
)
def test_an_error_is_one_sentence(error: AfterwordError, status: int) -> None:
    """An error is `{"error": "…"}` with its status; inputs that do not fit the flow are 400."""
    response = unless.render_error(error)
    assert (response.status, json.loads(response.body)) == (status, {"error": str(error)})


def test_history_and_metadata_fit_into_a_response() -> None:
    """The turns and metadata, whose bytes may double, are together below Lambda's 6 MB."""
    assert unless.MAX_HISTORY_BYTES + 2 * unless.MAX_METADATA_BYTES < 6_000_000
