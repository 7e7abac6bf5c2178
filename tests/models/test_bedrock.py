"""The Bedrock model, against botocore's own model of the Converse API (Stubber)."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)
from botocore.stub import Stubber

from afterword.files.media_types import DOCUMENTS, IMAGES
from afterword.generations import Reason, Setback, SetbackReason
from afterword.models import (
    LENGTH,
    STOP,
    Attachment,
    ChatTurn,
    ModelRefusedError,
    ModelTimedOutError,
    ModelUnavailableError,
    Prompt,
    bedrock,
)
from afterword.models.bedrock import BedrockModel
from afterword.runtime.clients import clients

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient

pytestmark = pytest.mark.sockets

SCHEMA: dict[str, object] = {"type": "object", "properties": {"name": {"type": "string"}}}


def make_prompt(
    schema: dict[str, object] | None = None, temperature: float | None = None
) -> Prompt:
    return Prompt(
        system="You answer mails.",
        user="<body>Hello</body>",
        schema=schema,
        model="amazon.nova-lite-v1:0",
        max_tokens=300,
        temperature=temperature,
    )


def converse_request(**more: object) -> dict[str, object]:
    return {
        "modelId": "amazon.nova-lite-v1:0",
        "system": [{"text": "You answer mails."}],
        "messages": [{"role": "user", "content": [{"text": "<body>Hello</body>"}]}],
        "inferenceConfig": {"maxTokens": 300},
        **more,
    }


def converse_response(*content: dict[str, Any], stop_reason: str = "end_turn") -> dict[str, object]:
    return {
        "output": {"message": {"role": "assistant", "content": list(content)}},
        "stopReason": stop_reason,
        "usage": {"inputTokens": 21, "outputTokens": 7, "totalTokens": 28},
        "metrics": {"latencyMs": 500},
    }


@pytest.fixture
def client(aws: None) -> "BedrockRuntimeClient":  # noqa: ARG001 - a fixture
    return clients().bedrock_runtime(60)


@pytest.fixture
def stubber(client: "BedrockRuntimeClient") -> Iterator[Stubber]:
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def model(client: "BedrockRuntimeClient") -> BedrockModel:
    return BedrockModel(lambda _read_timeout: client)


def test_a_prompt_is_a_converse_call(model: BedrockModel, stubber: Stubber) -> None:
    """The system prompt, the data and the token limit go out as Converse takes them."""
    response = converse_response({"text": "Dear "}, {"text": "Jean"})
    stubber.add_response("converse", response, converse_request())
    completion = model.generate(make_prompt(), timeout=60)
    assert completion.text == "Dear Jean"
    assert completion.stop_reason == STOP
    assert completion.model == "amazon.nova-lite-v1:0"
    assert (completion.tokens_in, completion.tokens_out) == (21, 7)


def test_a_temperature_is_passed_on(model: BedrockModel, stubber: Stubber) -> None:
    """A step's temperature goes out beside the token limit."""
    config = {"maxTokens": 300, "temperature": 0.5}
    expected = converse_request(inferenceConfig=config)
    stubber.add_response("converse", converse_response({"text": "Hi"}), expected)
    assert model.generate(make_prompt(temperature=0.5), timeout=60).text == "Hi"


def test_earlier_turns_go_before_the_question(model: BedrockModel, stubber: Stubber) -> None:
    """A conversation goes as the messages that it was, the question last."""
    messages = [
        {"role": "user", "content": [{"text": "When?"}]},
        {"role": "assistant", "content": [{"text": "In March."}]},
        {"role": "user", "content": [{"text": "<body>Hello</body>"}]},
    ]
    response = converse_response({"text": "Hi"})
    stubber.add_response("converse", response, converse_request(messages=messages))
    prompt = replace(make_prompt(), turns=(ChatTurn(question="When?", answer="In March."),))
    assert model.generate(prompt, timeout=60).text == "Hi"


def test_files_are_blocks_with_neutral_names(model: BedrockModel, stubber: Stubber) -> None:
    """Documents and images go out as Converse takes them, and no name of the caller's with them."""
    attached = (
        Attachment(media_type="application/pdf", content=b"%PDF-1.7"),
        Attachment(media_type="image/png", content=b"PNG"),
        Attachment(media_type="application/json", content=b"{}"),
    )
    content = [
        {"text": "<body>Hello</body>"},
        {"document": {"format": "pdf", "name": "document 1", "source": {"bytes": b"%PDF-1.7"}}},
        {"image": {"format": "png", "source": {"bytes": b"PNG"}}},
        {"document": {"format": "txt", "name": "document 3", "source": {"bytes": b"{}"}}},
    ]
    expected = converse_request(messages=[{"role": "user", "content": content}])
    stubber.add_response("converse", converse_response({"text": "Hi"}), expected)
    prompt = replace(make_prompt(), attachments=attached)
    assert model.generate(prompt, timeout=60).text == "Hi"


def test_every_type_that_is_taken_is_one_that_bedrock_knows(
    client: "BedrockRuntimeClient", model: BedrockModel
) -> None:
    """The formats of documents and images are those of botocore's model of Converse."""
    shapes = client.meta.service_model
    documents, images = (
        set(shapes.shape_for(name).enum)  # type: ignore[attr-defined] # a shape of strings
        for name in ("DocumentFormat", "ImageFormat")
    )
    assert set(bedrock.DOCUMENTS.values()) <= documents
    assert set(bedrock.IMAGES.values()) == images
    assert set(model.documents) == set(bedrock.DOCUMENTS) <= DOCUMENTS
    assert set(bedrock.IMAGES) == IMAGES


def test_a_schema_is_a_tool_that_the_model_must_use(model: BedrockModel, stubber: Stubber) -> None:
    """With a schema, the completion's text is the JSON input of the one tool that is offered."""
    expected = converse_request(
        toolConfig={
            "tools": [{"toolSpec": {"name": "reply", "inputSchema": {"json": SCHEMA}}}],
            "toolChoice": {"tool": {"name": "reply"}},
        }
    )
    tool_use = {"toolUse": {"toolUseId": "t1", "name": "reply", "input": {"name": "Jean"}}}
    response = converse_response({"text": "I use it."}, tool_use, stop_reason="tool_use")
    stubber.add_response("converse", response, expected)
    completion = model.generate(make_prompt(schema=SCHEMA), timeout=60)
    assert completion.text == '{"name": "Jean"}'
    assert completion.stop_reason == STOP


def test_a_model_that_does_not_use_the_tool_gives_no_text(
    model: BedrockModel, stubber: Stubber
) -> None:
    """Words instead of the tool's input are not taken for the structured output."""
    stubber.add_response("converse", converse_response({"text": "Dear Jean"}))
    assert model.generate(make_prompt(schema=SCHEMA), timeout=60).text == ""


def test_reasoning_is_not_part_of_the_text(model: BedrockModel, stubber: Stubber) -> None:
    """A reasoning model's thoughts stay out of the completion."""
    thought = {"reasoningContent": {"reasoningText": {"text": "Let me think"}}}
    stubber.add_response("converse", converse_response(thought, {"text": "Dear Jean"}))
    assert model.generate(make_prompt(), timeout=60).text == "Dear Jean"


@pytest.mark.parametrize("stop_reason", ["max_tokens", "model_context_window_exceeded"])
def test_a_cut_text_says_so(model: BedrockModel, stubber: Stubber, stop_reason: str) -> None:
    """A text that ran into a limit is returned with the stop reason `length`."""
    stubber.add_response("converse", converse_response({"text": "De"}, stop_reason=stop_reason))
    assert model.generate(make_prompt(), timeout=60).stop_reason == LENGTH


@pytest.mark.parametrize("stop_reason", ["content_filtered", "guardrail_intervened"])
def test_refused_content_fails_with_that_reason(
    model: BedrockModel, stubber: Stubber, stop_reason: str
) -> None:
    """A content filter or a guardrail fails the generation at once."""
    stubber.add_response("converse", converse_response({"text": "No"}, stop_reason=stop_reason))
    with pytest.raises(ModelRefusedError) as refused:
        model.generate(make_prompt(), timeout=60)
    assert refused.value.reason is Reason.REFUSED_CONTENT


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ThrottlingException", 429),
        ("ModelNotReadyException", 429),
        ("ServiceUnavailableException", 503),
        ("InternalServerException", 500),
        ("ModelErrorException", 424),
        ("SomethingNewException", 502),
    ],
)
def test_a_busy_bedrock_is_unavailable(
    model: BedrockModel, stubber: Stubber, code: str, status: int
) -> None:
    """Throttling and server errors hand the generation back, after one try."""
    stubber.add_client_error("converse", code, "the prompt was: SECRET", status)
    with pytest.raises(ModelUnavailableError) as unavailable:
        model.generate(make_prompt(), timeout=60)
    assert str(unavailable.value) == f"Bedrock answered {status} ({code})."
    throttled = code == "ThrottlingException"
    reason = SetbackReason.THROTTLED if throttled else SetbackReason.UNAVAILABLE
    assert unavailable.value.setback == Setback(reason, code)


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        ("ValidationException", 400, Reason.INVALID_REQUEST),
        ("AccessDeniedException", 403, Reason.MODEL_ACCESS_DENIED),
        ("UnrecognizedClientException", 403, Reason.MODEL_ACCESS_DENIED),
        ("ExpiredTokenException", 403, Reason.MODEL_ACCESS_DENIED),
        ("ResourceNotFoundException", 404, Reason.MODEL_NOT_FOUND),
        ("SomethingNewException", 400, Reason.INVALID_REQUEST),
    ],
)
def test_a_permanent_error_fails_with_a_reason(
    model: BedrockModel, stubber: Stubber, code: str, status: int, reason: Reason
) -> None:
    """An error that will not go away fails at once, and its message quotes no prompt."""
    stubber.add_client_error("converse", code, "the prompt was: SECRET", status)
    with pytest.raises(ModelRefusedError) as refused:
        model.generate(make_prompt(), timeout=60)
    assert refused.value.reason is reason
    assert "SECRET" not in str(refused.value)


def test_a_model_timeout_is_timed_out(model: BedrockModel, stubber: Stubber) -> None:
    """Bedrock's own ModelTimeoutException counts as a timeout."""
    stubber.add_client_error("converse", "ModelTimeoutException", http_status_code=408)
    with pytest.raises(ModelTimedOutError) as timed_out:
        model.generate(make_prompt(), timeout=60)
    assert timed_out.value.setback == Setback(SetbackReason.TIMED_OUT, "ModelTimeoutException")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ReadTimeoutError(endpoint_url="https://bedrock"), ModelTimedOutError),
        (ConnectTimeoutError(endpoint_url="https://bedrock"), ModelUnavailableError),
        (EndpointConnectionError(endpoint_url="https://bedrock"), ModelUnavailableError),
        (NoCredentialsError(), ModelRefusedError),
    ],
)
def test_a_failing_connection_is_one_of_the_three_kinds(
    client: "BedrockRuntimeClient", error: BotoCoreError, expected: type[Exception]
) -> None:
    """Exceptions of botocore before an answer are mapped like the answers are."""

    def fail(**_: object) -> None:
        raise error

    client.meta.events.register("before-send.bedrock-runtime.Converse", fail)
    with pytest.raises(expected):
        BedrockModel(lambda _read_timeout: client).generate(make_prompt(), timeout=60)


@pytest.mark.usefixtures("aws")
def test_botocore_waits_as_long_as_there_is_time_and_never_retries() -> None:
    """The client's read timeout is the remaining time, and it makes one attempt."""
    config: Any = clients().bedrock_runtime(290).meta.config
    assert config.read_timeout == 290
    assert config.retries == {"mode": "standard", "total_max_attempts": 1}


@pytest.mark.parametrize(("timeout", "asked"), [(295.0, 290), (10.0, 10), (9.7, 9), (0.4, 1)])
def test_one_client_serves_calls_with_about_the_same_time_left(
    client: "BedrockRuntimeClient", stubber: Stubber, timeout: float, asked: int
) -> None:
    """Timeouts are rounded down to ten seconds, so that few clients are built."""
    stubber.add_response("converse", converse_response({"text": "Hi"}))
    seen: list[int] = []

    def make(read_timeout: int) -> "BedrockRuntimeClient":
        seen.append(read_timeout)
        return client

    BedrockModel(make).generate(make_prompt(), timeout=timeout)
    assert seen == [asked]
