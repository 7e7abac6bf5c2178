"""The OpenAI-compatible model: against a real llama.cpp server, and against scripted faults."""

import json
import math
import socket
import threading
import time
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from itertools import pairwise

import pytest

from afterword.engine.prompting import build_prompt
from afterword.flows import outputs, placeholders
from afterword.flows.flow import read_step
from afterword.generations import AnswerToken, Completion, Reason, Setback, SetbackReason
from afterword.models import (
    LENGTH,
    STOP,
    Attachment,
    ChatTurn,
    ModelError,
    ModelRefusedError,
    ModelTimedOutError,
    ModelUnavailableError,
    Prompt,
)
from afterword.models.openai import OpenAIModel
from local.models import DEMO_MODEL
from tests.conftest import SetClock
from tests.harness.scripted_endpoint import Script, answer, choice

pytestmark = pytest.mark.sockets


def make_prompt(
    user: str = "What is the capital of France? Answer in one word.",
    *,
    schema: dict[str, object] | None = None,
    max_tokens: int = 60,
    model: str = DEMO_MODEL,
) -> Prompt:
    return Prompt(
        system="You answer questions.",
        user=user,
        schema=schema,
        model=model,
        max_tokens=max_tokens,
        temperature=0.0,
    )


def openai(url: str, api_key: str | None = None) -> OpenAIModel:
    return OpenAIModel(url, lambda: api_key, pool_size=10)


# --- a real model --------------------------------------------------------------------------------


def test_a_real_model_answers(llama: str) -> None:
    """A prompt comes back as text, with the tokens that went in and out."""
    completion = openai(llama).generate(make_prompt(), timeout=60)
    assert "Paris" in completion.text
    assert completion.model == DEMO_MODEL
    assert completion.stop_reason == STOP
    assert completion.tokens_in > 10
    assert 0 < completion.tokens_out <= 60


def test_the_output_never_exceeds_max_tokens(llama: str) -> None:
    """A text that runs into max_tokens ends there and says so."""
    prompt = make_prompt("Count from one to one hundred, in words.", max_tokens=7)
    completion = openai(llama).generate(prompt, timeout=60)
    assert completion.stop_reason == LENGTH
    assert completion.tokens_out == 7


@pytest.mark.long
def test_a_schema_makes_a_real_model_fill_every_placeholder(llama: str) -> None:
    """With a template's schema the output is a JSON object that fills the template."""
    template = placeholders.parse_template("Dear [customer's name], about [topic of the mail].")
    mail = "<body>Hello, my name is Jean Dupont. When will my car be repaired?</body>"
    prompt = make_prompt(mail, schema=template.schema(), max_tokens=200)
    completion = openai(llama).generate(prompt, timeout=60)
    values = json.loads(completion.text)
    assert set(values) == {"customer_s_name", "topic_of_the_mail"}
    assert "Dupont" in template.fill(values)


def test_a_real_prompt_too_long_for_the_model_is_refused_as_too_long(llama: str) -> None:
    """A prompt beyond the model's context fails at once, with a reason that names its length."""
    with pytest.raises(ModelRefusedError) as refused:
        openai(llama).generate(make_prompt("word " * 20_000), timeout=60)
    assert refused.value.reason is Reason.TOO_LONG


def test_a_real_model_that_is_too_slow_times_out(llama: str) -> None:
    """A completion that takes longer than the time there is counts as timed out."""
    prompt = make_prompt("Write a very long story about the sea.", max_tokens=2_000)
    started = time.monotonic()
    with pytest.raises(ModelTimedOutError):
        openai(llama).generate(prompt, timeout=0.3)
    assert time.monotonic() - started < 3


@pytest.mark.long
def test_ten_prompts_run_side_by_side(llama: str) -> None:
    """One model object serves ten threads, and each gets the answer to its own prompt."""
    model = openai(llama)
    completions: dict[int, Completion] = {}

    def ask(words: int) -> None:
        prompt = make_prompt("word " * words, max_tokens=5)
        completions[words] = model.generate(prompt, timeout=60)

    threads = [threading.Thread(target=ask, args=(words,)) for words in range(10, 110, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tokens_in = [completion.tokens_in for _, completion in sorted(completions.items())]
    assert [longer - shorter for shorter, longer in pairwise(tokens_in)] == [10] * 9


# --- faults that a real server does not show on demand: a scripted server, labelled as such ------


def error_body(**detail: object) -> dict[str, object]:
    return {"error": {"message": "the prompt was: SECRET", **detail}}


def test_the_request_is_what_the_api_documents(script: Script) -> None:
    """The request names the model, bounds the tokens, and carries the key as a bearer token."""
    script.answers = [answer(200, choice({"content": "Paris"}))]
    openai(script.url, "sk-key").generate(make_prompt("Q", schema={"type": "object"}), timeout=5)
    headers, body = script.requests[0]
    assert headers["authorization"] == "Bearer sk-key"
    assert body == {
        "model": DEMO_MODEL,
        "messages": [
            {"role": "system", "content": "You answer questions."},
            {"role": "user", "content": "Q"},
        ],
        "max_tokens": 60,
        "temperature": 0.0,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "reply", "schema": {"type": "object"}},
        },
    }


def test_earlier_turns_go_before_the_question(script: Script) -> None:
    """A conversation goes as the messages that it was, the question last."""
    script.answers = [answer(200, choice({"content": "In April."}))]
    turns = (
        ChatTurn(question="When?", answer="In March."),
        ChatTurn(question="Sure?", answer="Yes."),
    )
    openai(script.url).generate(replace(make_prompt("And then?"), turns=turns), timeout=5)
    ((_, body),) = script.requests
    assert [(each["role"], each["content"]) for each in body["messages"]] == [
        ("system", "You answer questions."),
        ("user", "When?"),
        ("assistant", "In March."),
        ("user", "Sure?"),
        ("assistant", "Yes."),
        ("user", "And then?"),
    ]


@pytest.mark.long
def test_a_real_model_follows_a_conversation(llama: str) -> None:
    """An earlier turn is known to the question that follows."""
    turns = (ChatTurn(question="My name is Zebulon.", answer="Nice to meet you, Zebulon."),)
    prompt = replace(make_prompt("What is my name?"), turns=turns)
    assert "Zebulon" in openai(llama).generate(prompt, timeout=60).text


def test_images_go_as_data_urls(script: Script) -> None:
    """An image stands beside the text, in the message itself."""
    script.answers = [answer(200, choice({"content": "A cat"}))]
    image = Attachment(media_type="image/png", content=b"PNG")
    openai(script.url).generate(replace(make_prompt("What is it?"), attachments=(image,)), 5)
    _, body = script.requests[0]
    assert body["messages"][1]["content"] == [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,UE5H"}},
    ]


def test_a_real_model_without_eyes_refuses_an_image(llama: str) -> None:
    """A model that cannot look at images ends the try with an error of a model, and no other."""
    image = Attachment(media_type="image/png", content=b"\x89PNG\r\n\x1a\n")
    with pytest.raises(ModelError):
        openai(llama).generate(replace(make_prompt(), attachments=(image,)), 30)


def test_without_a_key_no_credential_is_sent(script: Script) -> None:
    """An endpoint that takes no key gets no Authorization header."""
    script.answers = [answer(200, choice({"content": "Paris"}))]
    openai(script.url).generate(make_prompt(), timeout=5)
    assert "authorization" not in script.requests[0][0]


def test_a_server_without_usage_has_its_tokens_estimated(script: Script) -> None:
    """A completion without `usage` is a completion all the same, and its tokens count."""
    script.answers = [answer(200, {"choices": [{"message": {"content": "Paris"}}]})]
    completion = openai(script.url).generate(make_prompt("Which capital?"), timeout=5)
    assert (completion.text, completion.estimated) == ("Paris", True)
    assert (completion.tokens_in, completion.tokens_out) == (12, 2)


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 529])
def test_a_busy_endpoint_is_unavailable(script: Script, status: int) -> None:
    """Throttling, overload and server errors hand the generation back, after one try."""
    script.answers = [answer(status, error_body(code="rate_limit_exceeded"))]
    with pytest.raises(ModelUnavailableError) as unavailable:
        openai(script.url).generate(make_prompt(), timeout=5)
    assert unavailable.value.retry_after is None
    assert str(unavailable.value) == f"The model endpoint answered {status} (rate_limit_exceeded)."
    reason = SetbackReason.THROTTLED if status == 429 else SetbackReason.UNAVAILABLE
    assert unavailable.value.setback == Setback(reason, "rate_limit_exceeded")
    assert len(script.requests) == 1


@pytest.mark.parametrize("code", ["the prompt was: SECRET", None])
def test_a_setback_without_a_known_code_has_the_status(script: Script, code: str | None) -> None:
    """A text of the endpoint that may repeat the prompt becomes no code; the status does."""
    script.answers = [answer(429, error_body(code=code))]
    with pytest.raises(ModelUnavailableError) as unavailable:
        openai(script.url).generate(make_prompt(), timeout=5)
    assert unavailable.value.setback == Setback(SetbackReason.THROTTLED, "429")


def test_retry_after_in_seconds_is_passed_on(script: Script) -> None:
    """A Retry-After of seconds reaches the worker."""
    script.answers = [answer(429, {}, {"Retry-After": "17"})]
    with pytest.raises(ModelUnavailableError) as unavailable:
        openai(script.url).generate(make_prompt(), timeout=5)
    assert unavailable.value.retry_after == 17.0


def test_retry_after_as_a_date_is_passed_on(script: Script, set_clock: SetClock) -> None:
    """A Retry-After that is a date reaches the worker as seconds from now."""
    now = set_clock.moment
    set_clock.advance(minutes=2)
    date = format_datetime(set_clock.moment, usegmt=True)
    set_clock.moment = now
    script.answers = [answer(503, {}, {"Retry-After": date})]
    with pytest.raises(ModelUnavailableError) as unavailable:
        openai(script.url).generate(make_prompt(), timeout=5)
    assert unavailable.value.retry_after == 120.0


@pytest.mark.parametrize("value", ["soon", "-3", "", "1e9", "Mon, 99 Foo"])
def test_a_retry_after_that_is_none_is_ignored(script: Script, value: str) -> None:
    """A malformed Retry-After counts as absent."""
    script.answers = [answer(429, {}, {"Retry-After": value})]
    with pytest.raises(ModelUnavailableError) as unavailable:
        openai(script.url).generate(make_prompt(), timeout=5)
    assert unavailable.value.retry_after is None


@pytest.mark.parametrize("zone", ["-0000", ""])
def test_a_retry_after_without_a_zone_is_in_utc(
    script: Script, set_clock: SetClock, zone: str
) -> None:
    """A Retry-After whose date has no zone reaches the worker as seconds from now."""
    date = f"{(set_clock.moment + timedelta(minutes=2)):%a, %d %b %Y %H:%M:%S} {zone}"
    script.answers = [answer(503, {}, {"Retry-After": date})]
    with pytest.raises(ModelUnavailableError) as unavailable:
        openai(script.url).generate(make_prompt(), timeout=5)
    assert unavailable.value.retry_after == 120.0


@pytest.mark.parametrize(
    ("status", "detail", "reason"),
    [
        (400, {"code": "context_length_exceeded"}, Reason.TOO_LONG),
        (400, {"type": "exceed_context_size_error", "code": 400}, Reason.TOO_LONG),
        (413, {}, Reason.TOO_LONG),
        (400, {"code": "content_filter"}, Reason.REFUSED_CONTENT),
        (400, {"code": "content_policy_violation"}, Reason.REFUSED_CONTENT),
        (400, {"code": "invalid_value"}, Reason.INVALID_REQUEST),
        (422, {}, Reason.INVALID_REQUEST),
        (401, {"code": "invalid_api_key"}, Reason.MODEL_ACCESS_DENIED),
        (403, {}, Reason.MODEL_ACCESS_DENIED),
        (404, {"code": "model_not_found"}, Reason.MODEL_NOT_FOUND),
        (302, {}, Reason.INVALID_REQUEST),
    ],
)
def test_a_permanent_error_fails_with_a_reason(
    script: Script, status: int, detail: dict[str, object], reason: Reason
) -> None:
    """An error that will not go away fails at once, and its message quotes no prompt."""
    script.answers = [answer(status, error_body(**detail), {"Location": "http://127.0.0.1:9/"})]
    with pytest.raises(ModelRefusedError) as refused:
        openai(script.url).generate(make_prompt(), timeout=5)
    assert refused.value.reason is reason
    assert "SECRET" not in str(refused.value)
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    "body",
    [
        choice({"content": None, "refusal": "I cannot help with that."}),
        choice({"content": "I"}, finish_reason="content_filter"),
    ],
)
def test_refused_content_fails_with_that_reason(script: Script, body: dict[str, object]) -> None:
    """A refusal by the model, or by its content filter, is no text."""
    script.answers = [answer(200, body)]
    with pytest.raises(ModelRefusedError) as refused:
        openai(script.url).generate(make_prompt(), timeout=5)
    assert refused.value.reason is Reason.REFUSED_CONTENT


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"\xff\xfe",
        b"",
        b"[]",
        b"{}",
        b"null",
        b'"Paris"',
        b'{"choices": []}',
        b'{"choices": null}',
        b'{"choices": {"message": {"content": "Paris"}}}',
        b'{"error": {}}',
        b'{"error": "try again"}',
    ],
)
def test_a_200_without_a_completion_may_pass(script: Script, body: bytes) -> None:
    """An answer that says nothing is a busy server's, or a proxy's: another try may succeed."""
    script.answers = [answer(200, body)]
    with pytest.raises(ModelUnavailableError) as unavailable:
        openai(script.url).generate(make_prompt(), timeout=5)
    assert str(unavailable.value) == "The model endpoint answered 200 without a completion."
    assert unavailable.value.setback == Setback(SetbackReason.UNAVAILABLE, None)


@pytest.mark.parametrize(
    "choice",
    [1, None, "Paris", {"message": 1}, {"message": {"content": 7}}, {"message": {"content": True}}],
)
def test_a_choice_of_an_unknown_form_fails_with_that_reason(script: Script, choice: object) -> None:
    """A completion that cannot be read is an invalid response, and is not quoted."""
    script.answers = [answer(200, {"choices": [choice]})]
    with pytest.raises(ModelRefusedError) as refused:
        openai(script.url).generate(make_prompt(), timeout=5)
    assert refused.value.reason is Reason.INVALID_RESPONSE
    assert "Paris" not in str(refused.value)


def test_an_answer_beyond_all_measure_is_not_read_to_its_end(script: Script) -> None:
    """An answer of more than 8 MiB is an invalid response."""
    script.answers = [answer(200, b" " * (9 * 1024 * 1024))]
    with pytest.raises(ModelRefusedError) as refused:
        openai(script.url).generate(make_prompt(), timeout=10)
    assert refused.value.reason is Reason.INVALID_RESPONSE


def test_a_model_that_renamed_max_tokens_is_asked_again_with_the_new_name(script: Script) -> None:
    """OpenAI's reasoning models get max_completion_tokens: found out once, remembered after."""
    renamed = answer(400, error_body(code="unsupported_parameter", param="max_tokens"))
    script.answers = [renamed, answer(200, choice({"content": "Paris"}))]
    model = openai(script.url)
    for _ in range(2):
        assert model.generate(make_prompt(), timeout=5).text == "Paris"
    limits = [
        sorted(set(body) & {"max_tokens", "max_completion_tokens"}) for _, body in script.requests
    ]
    assert limits == [["max_tokens"], ["max_completion_tokens"], ["max_completion_tokens"]]


def with_logprobs(logprobs: object) -> dict[str, object]:
    message = {"message": {"content": "Paris"}, "finish_reason": "stop", "logprobs": logprobs}
    return {"choices": [message], "usage": {"prompt_tokens": 11, "completion_tokens": 3}}


def content(*tokens: dict[str, object]) -> dict[str, object]:
    return {"content": list(tokens), "refusal": None}


MEASURED = replace(make_prompt(), logprobs=True)
PARIS = with_logprobs(content({"token": "Paris", "logprob": -0.5}))


def test_log_probabilities_are_asked_for_where_they_are_wanted(script: Script) -> None:
    """A prompt that wants log probabilities gets them with its tokens; another asks for none."""
    script.answers = [answer(200, PARIS)]
    model = openai(script.url)
    assert model.generate(MEASURED, timeout=5).tokens == (AnswerToken(b"Paris", -0.5),)
    assert model.generate(make_prompt(), timeout=5).tokens == ()
    assert [body.get("logprobs") for _, body in script.requests] == [True, None]


@pytest.mark.parametrize(
    ("logprobs", "tokens"),
    [
        (content({"token": "P", "logprob": -0.5, "bytes": [80], "top_logprobs": []}), [b"P"]),
        (
            content(
                {"token": "\ufffd", "logprob": -0.5, "bytes": [195]},
                {"token": "\ufffd", "logprob": -0.5, "bytes": [169]},
            ),
            [b"\xc3", b"\xa9"],
        ),
        (content({"token": "é", "logprob": -0.5, "bytes": None}), ["é".encode()]),
        (content({"token": "", "logprob": 0, "bytes": []}), [b""]),
        (content({"token": "\ud83d", "logprob": -0.5}), ["\ufffd".encode()]),
        (content({"token": "Paris", "logprob": -(10**400)}), []),
        (content({"token": "Paris", "logprob": True}), []),
        (content(), []),
        (None, []),
        ({"content": None}, []),
        ({}, []),
        ([], []),
        ("none", []),
        ({"tokens": ["Paris"], "token_logprobs": [-0.5]}, []),
        (content({"token": "Paris", "logprob": None}), []),
        (content({"token": "Paris", "logprob": float("nan")}), []),
        (content({"token": "Paris", "logprob": float("-inf")}), []),
        (content({"token": "Paris"}), []),
        (content({"token": "Paris", "logprob": -0.5, "bytes": [256]}), []),
        (content({"token": "Paris", "logprob": -0.5}, {"token": 7}), []),
    ],
)
def test_log_probabilities_of_another_form_leave_the_answer_as_good(
    script: Script, logprobs: object, tokens: list[bytes]
) -> None:
    """Tokens come as their bytes; a form that cannot be read is none, and the text stays."""
    script.answers = [answer(200, with_logprobs(logprobs))]
    completion = openai(script.url).generate(MEASURED, timeout=5)
    assert (completion.text, [each.text for each in completion.tokens]) == ("Paris", tokens)


@pytest.mark.parametrize("status", [400, 422, 501])
def test_a_server_that_refuses_log_probabilities_is_asked_without(
    script: Script, status: int
) -> None:
    """A refused option is left out: found out once, remembered after, by the model's name."""
    refused = answer(status, error_body(code="unsupported_parameter", param="logprobs"))
    script.answers = [refused, answer(200, choice({"content": "Paris"}))]
    model = openai(script.url)
    for _ in range(2):
        completion = model.generate(MEASURED, timeout=5)
        assert (completion.text, completion.tokens) == ("Paris", ())
    model.generate(replace(MEASURED, model="another"), timeout=5)
    assert ["logprobs" in body for _, body in script.requests] == [True, False, False, True]


def test_a_model_may_refuse_both_options(script: Script) -> None:
    """A model without log probabilities and with a renamed limit is asked a third time."""
    script.answers = [
        answer(400, error_body(code="unsupported_parameter", param="logprobs")),
        answer(400, error_body(code="unsupported_parameter", param="max_tokens")),
        answer(200, choice({"content": "Paris"})),
    ]
    assert openai(script.url).generate(MEASURED, timeout=5).text == "Paris"
    last = script.requests[2][1]
    assert last.keys() & {"logprobs", "max_tokens", "max_completion_tokens"} == {
        "max_completion_tokens"
    }


def test_a_refusal_for_another_cause_is_told_as_it_is(script: Script) -> None:
    """A request that is refused without log probabilities, too, fails, and they are tried anew."""
    script.answers = [answer(400, error_body(code="invalid_value"))]
    model = openai(script.url)
    for _ in range(2):
        with pytest.raises(ModelRefusedError) as refused:
            model.generate(MEASURED, timeout=5)
        assert refused.value.reason is Reason.INVALID_REQUEST
    assert ["logprobs" in body for _, body in script.requests] == [True, False, True, False]


@pytest.mark.parametrize("code", ["context_length_exceeded", "content_filter"])
def test_a_refusal_with_a_known_cause_is_not_about_log_probabilities(
    script: Script, code: str
) -> None:
    """A text that is too long, or refused, is sent once."""
    script.answers = [answer(400, error_body(code=code))]
    with pytest.raises(ModelRefusedError):
        openai(script.url).generate(MEASURED, timeout=5)
    assert len(script.requests) == 1


def test_a_real_models_choice_is_measured(llama: str) -> None:
    """llama.cpp chooses a class of the list, and its tokens' probabilities are the confidence."""
    names = ("refund_request", "delivery_question", "résiliation de contrat")
    step = read_step({"name": "topic", "classes": [{"name": name} for name in names]})
    mail = {"subject": "My money", "body": "The lamp is broken. I want my money back."}
    prompt = build_prompt(step, mail, None, DEMO_MODEL)
    completion = openai(llama).generate(prompt, timeout=60)
    assert completion.text.strip() in b"".join(token.text for token in completion.tokens).decode()
    result = json.loads(outputs.finish_answer(completion, step, None).text)
    assert result["classification"] in names
    all_tokens = math.exp(sum(token.logprob for token in completion.tokens))
    assert round(all_tokens, 4) <= result["confidence"] <= 1  # a small model may be unsure
    assert result["confidence_source"] == "log_probabilities"


def test_nobody_listening_is_unavailable() -> None:
    """An endpoint that refuses connections hands the generation back."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        with pytest.raises(ModelUnavailableError):
            openai(url).generate(make_prompt(), timeout=5)


@pytest.mark.parametrize("url", ["http://", "http://[", "ftp://127.0.0.1/v1"])
def test_a_base_url_that_is_none_is_unavailable(url: str) -> None:
    """A wrong base URL is an owner's mistake to be put right: nothing that was accepted is lost."""
    with pytest.raises(ModelUnavailableError):
        openai(url).generate(make_prompt(), timeout=5)


def test_a_connection_cut_in_the_middle_is_unavailable(script: Script) -> None:
    """An answer that breaks off hands the generation back."""

    def cut(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("content-length", "1000")
        handler.end_headers()
        handler.wfile.write(b'{"choices"')
        handler.wfile.flush()
        handler.connection.shutdown(socket.SHUT_RDWR)

    script.answers = [cut]
    with pytest.raises(ModelUnavailableError):
        openai(script.url).generate(make_prompt(), timeout=5)


@pytest.mark.parametrize("size", [b"-" + b"f" * 20, b"f" * 20, b"x", b"", b"-5"])
def test_a_chunk_of_an_impossible_size_breaks_the_connection(script: Script, size: bytes) -> None:
    """A server that counts its chunks wrongly is unavailable."""

    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("transfer-encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(size + b"\r\nabc")

    script.answers = [send]
    with pytest.raises(ModelUnavailableError):
        openai(script.url).generate(make_prompt(), timeout=5)


def test_an_answer_that_trickles_is_bounded_by_the_time_there_is(script: Script) -> None:
    """A server that sends a byte now and then cannot hold a worker beyond its timeout."""
    done = threading.Event()

    def trickle(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("content-length", "1000")
        handler.end_headers()
        while not done.wait(0.05):
            handler.wfile.write(b" ")
            handler.wfile.flush()

    script.answers = [trickle]
    started = time.monotonic()
    try:
        with pytest.raises(ModelTimedOutError):
            openai(script.url).generate(make_prompt(), timeout=0.5)
    finally:
        done.set()
    assert time.monotonic() - started < 2


def test_no_time_left_asks_nothing(script: Script) -> None:
    """A generation whose time has run out is not sent to the model."""
    script.answers = [answer(200, choice({"content": "Paris"}))]
    with pytest.raises(ModelTimedOutError):
        openai(script.url).generate(make_prompt(), timeout=0)
    assert script.requests == []
