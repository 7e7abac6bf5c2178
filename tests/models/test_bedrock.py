"""The Bedrock model, against botocore's own model of the Converse API (Stubber)."""

import json
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config
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
    bedrock_request,
)
from afterword.models.bedrock import BedrockModel
from afterword.runtime.clients import clients
from tests.harness.seeds import SEED_PARAMS, seeded

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
    assert set(bedrock_request.DOCUMENTS.values()) <= documents
    assert set(bedrock_request.IMAGES.values()) == images
    assert set(model.documents) == set(bedrock_request.DOCUMENTS) <= DOCUMENTS
    assert set(bedrock_request.IMAGES) == IMAGES


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


def test_a_model_that_does_not_use_the_tool_is_read_as_text(
    model: BedrockModel, stubber: Stubber
) -> None:
    """Words instead of the tool's input are the text, which may be JSON."""
    stubber.add_response("converse", converse_response({"text": '{"name": "Jean"}'}))
    assert model.generate(make_prompt(schema=SCHEMA), timeout=60).text == '{"name": "Jean"}'


def test_reasoning_is_not_part_of_the_text(model: BedrockModel, stubber: Stubber) -> None:
    """A reasoning model's thoughts stay out of the completion."""
    thought = {"reasoningContent": {"reasoningText": {"text": "Let me think"}}}
    stubber.add_response("converse", converse_response(thought, {"text": "Dear Jean"}))
    assert model.generate(make_prompt(), timeout=60).text == "Dear Jean"


@pytest.mark.parametrize("stop_reason", ["max_tokens", "model_context_window_exceeded"])
def test_a_cut_text_says_so(model: BedrockModel, stubber: Stubber, stop_reason: str) -> None:
    """A text that ran into a limit is returned with the stop reason `length`."""
    stubber.add_response("converse", converse_response({"text": "De"}, stop_reason=stop_reason))
    completion = model.generate(make_prompt(), timeout=60)
    assert (completion.text, completion.stop_reason) == ("De", LENGTH)


def test_a_cut_text_of_a_model_that_reasons_first_is_no_text(
    model: BedrockModel, stubber: Stubber
) -> None:
    """Reasoning that no tag opens is remembered, until a finished text has none."""
    texts = [
        ("Notes.</think>Dear Jane", "end_turn", "Dear Jane"),
        ("Private no", "max_tokens", ""),
        ("Dear Jane", "end_turn", "Dear Jane"),
        ("Dear Ja", "max_tokens", "Dear Ja"),
    ]
    for said, stop_reason, text in texts:
        stubber.add_response("converse", converse_response({"text": said}, stop_reason=stop_reason))
        assert model.generate(make_prompt(), timeout=60).text == text


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


# --- what an answer has in it -------------------------------------------------------------------


def tool_use(value: object, name: str = "reply") -> dict[str, Any]:
    """Return a block with the input of a tool."""
    return {"toolUse": {"toolUseId": "t1", "name": name, "input": value}}


@pytest.mark.parametrize(
    ("blocks", "text"),
    [
        (
            [
                {"reasoningContent": {"reasoningText": {"text": "SECRET"}}},
                {"citationsContent": {"content": [{"text": "In "}, {"text": "March"}]}},
                {"text": "."},
                {"reasoningContent": {"redactedContent": b"SECRET"}},
            ],
            "In March.",
        ),
        ([{"text": "<think>SECRET</think>\n\nDear Jane"}], "Dear Jane"),
        ([{"text": "SECRET</think>Dear Jane"}], "Dear Jane"),
        ([{"text": "Thanks \ud83d Jane"}], "Thanks \ufffd Jane"),
        ([], ""),
    ],
)
def test_a_text_is_its_text_parts(
    model: BedrockModel, stubber: Stubber, blocks: list[dict[str, Any]], text: str
) -> None:
    """Texts and cited texts are joined; reasoning is shown to nobody, whichever form it has."""
    stubber.add_response("converse", converse_response(*blocks))
    assert model.generate(make_prompt(), timeout=60).text == text


@pytest.mark.parametrize(
    ("blocks", "text"),
    [
        ([tool_use({"name": "Zoë \ud83d"})], '{"name": "Zoë \ufffd"}'),
        ([tool_use('{"name": "Jean"}')], '{"name": "Jean"}'),
        ([tool_use({"name": "A"}), tool_use({"name": "A"})], '{"name": "A"}'),
        ([tool_use({"name": "A"}), tool_use({"name": "B"})], '{"name": "A"}\n{"name": "B"}'),
        ([tool_use({"name": "A"}, name="json")], '{"name": "A"}'),
    ],
)
def test_the_input_of_the_tool_is_json(
    model: BedrockModel, stubber: Stubber, blocks: list[dict[str, Any]], text: str
) -> None:
    """The input is JSON, also where the model wrote it as a text; of equal ones one counts."""
    stubber.add_response("converse", converse_response(*blocks, stop_reason="tool_use"))
    assert model.generate(make_prompt(schema=SCHEMA), timeout=60).text == text


def test_a_tools_input_that_was_cut_is_no_text(model: BedrockModel, stubber: Stubber) -> None:
    """Half of an input may be valid JSON, and is not taken for the whole."""
    response = converse_response(tool_use({"items": ["a"]}), stop_reason="max_tokens")
    stubber.add_response("converse", response)
    completion = model.generate(make_prompt(schema=SCHEMA), timeout=60)
    assert (completion.text, completion.stop_reason) == ("", LENGTH)


@pytest.mark.parametrize("stop_reason", ["malformed_model_output", "malformed_tool_use"])
def test_a_malformed_answer_is_no_text(
    model: BedrockModel, stubber: Stubber, stop_reason: str
) -> None:
    """A malformed structured answer is an empty one, which is asked for once more; a text fails."""
    response = converse_response({"text": '{"name": "A"}'}, stop_reason=stop_reason)
    stubber.add_response("converse", response)
    stubber.add_response("converse", response)
    assert model.generate(make_prompt(schema=SCHEMA), timeout=60).text == ""
    with pytest.raises(ModelRefusedError) as refused:
        model.generate(make_prompt(), timeout=60)
    assert refused.value.reason is Reason.INVALID_RESPONSE
    assert str(refused.value) == f"Bedrock's answer has no good end ({stop_reason})."


@pytest.mark.parametrize(
    ("stop_reason", "reason"),
    [
        ("tool_use", Reason.INVALID_RESPONSE),
        ("pause_turn", Reason.INVALID_RESPONSE),
        ("", Reason.INVALID_RESPONSE),
        ("the prompt was: SECRET", Reason.INVALID_RESPONSE),
        ("error", Reason.INVALID_RESPONSE),
        ("guardrail_intervened", Reason.REFUSED_CONTENT),
        ("refusal: the prompt was: SECRET", Reason.REFUSED_CONTENT),
    ],
)
def test_only_known_good_ends_succeed(
    model: BedrockModel, stubber: Stubber, stop_reason: str, reason: Reason
) -> None:
    """An answer with another end is no result, and its tokens are counted."""
    stubber.add_response("converse", converse_response({"text": "Hi"}, stop_reason=stop_reason))
    with pytest.raises(ModelRefusedError) as refused:
        model.generate(make_prompt(), timeout=60)
    assert refused.value.reason is reason
    assert "SECRET" not in str(refused.value)
    spent = refused.value.spent
    assert spent is not None
    assert (spent.tokens_in, spent.tokens_out) == (21, 7)


# --- the errors of the wild ---------------------------------------------------------------------

PROFILE = (
    "Invocation of model ID {} with on-demand throughput isn\u2019t supported. Retry your request"
    " with the ID or ARN of an inference profile that contains this model."
)
WILD = Path(__file__).with_name("bedrock_errors.json")
"""Errors of Bedrock in the wild, each with the reason and the advice that it becomes."""


@pytest.mark.parametrize(
    "wild", json.loads(WILD.read_text()), ids=lambda wild: wild["message"][:40]
)
def test_a_refusal_says_what_to_do(
    model: BedrockModel, stubber: Stubber, wild: Mapping[str, str]
) -> None:
    """Bedrock's words tell the cause, and the failure the way out, without those words."""
    words = f"{wild['message']} (the prompt was: SECRET)"
    stubber.add_client_error("converse", wild["code"], words, 400)
    with pytest.raises(ModelRefusedError) as refused:
        model.generate(make_prompt(), timeout=60)
    assert refused.value.reason is Reason[wild["reason"]]
    assert str(refused.value).startswith(f"Bedrock answered 400 ({wild['code']}).")
    assert wild["advice"] in str(refused.value)
    assert "SECRET" not in str(refused.value)


@pytest.mark.parametrize(
    ("region", "named", "ids"),
    [
        ("us-east-1", "meta.llama3-2-3b-instruct-v1:0", "us.{0} or global.{0}"),
        ("us-gov-west-1", "anthropic.claude-x", "us-gov.{0} or global.{0}"),
        ("eu-west-3", "amazon.nova-2-lite-v1:0", "eu.{0} or global.{0}"),
        ("ap-northeast-1", "amazon.nova-pro-v1:0", "apac.{0} or global.{0}"),
        ("ca-central-1", "anthropic.claude-x", "us.{0} or global.{0}"),
        ("me-south-1", "anthropic.claude-x", "global.{0}"),
    ],
)
def test_a_model_that_wants_an_inference_profile_says_which(
    region: str, named: str, ids: str
) -> None:
    """The failure has the ids that stand for the model in the region."""
    message = PROFILE.format(named)
    for model_id in (named, f"arn:aws:bedrock:{region}::foundation-model/{named}"):
        client = Replies(400, {"message": message}, error="ValidationException", region=region)
        with pytest.raises(ModelRefusedError) as refused:
            client.model().generate(replace(make_prompt(), model=model_id), timeout=60)
        assert refused.value.reason is Reason.INVALID_REQUEST
        assert str(refused.value) == (
            "Bedrock answered 400 (ValidationException). The model is called by an inference"
            f" profile alone: name {ids.format(named)} in place of {named}, by the flow's step or"
            " the stack's parameter ModelId."
        )
        assert len(client.asked) == 1


# --- what a model refuses -----------------------------------------------------------------------

NO_FORCED_TOOL = (
    "This model doesn't support the toolConfig.toolChoice.tool field. Remove"
    " toolConfig.toolChoice.tool and try again."
)
NO_ANY_TOOL = NO_FORCED_TOOL.replace("Choice.tool", "Choice.any")
NO_FORCED_THINKING = (
    "The model returned the following errors: Thinking may not be enabled when tool_choice forces"
    " tool use."
)
NO_TOOLS = "This model doesn't support tool use."
NO_SYSTEM = (
    "This model doesn't support system messages. Try again without a system message or use a model"
    " that supports system messages."
)
NO_TEMPERATURE = (
    "The model returned the following errors: `temperature` is deprecated for this model."
)
FORCED: dict[str, object] = {"tool": {"name": "reply"}}
ANY: dict[str, object] = {"any": {}}


def refuse_parts(stubber: Stubber, *messages: str) -> None:
    """Answer the next requests with validation errors, and the one after them with a text."""
    for message in messages:
        stubber.add_client_error("converse", "ValidationException", message, 400)
    stubber.add_response("converse", converse_response({"text": '{"name": "A"}'}))


@pytest.fixture
def requests(client: "BedrockRuntimeClient") -> list[dict[str, Any]]:
    """Return the parameters of each request."""
    seen: list[dict[str, Any]] = []
    client.meta.events.register_first(
        "provide-client-params.bedrock-runtime.Converse",
        lambda params, **_: seen.append(params),
    )
    return seen


@pytest.mark.parametrize(
    ("messages", "choices"),
    [
        ([], [FORCED]),
        ([NO_FORCED_TOOL], [FORCED, ANY]),
        ([NO_FORCED_TOOL, NO_ANY_TOOL], [FORCED, ANY, "auto"]),
        ([NO_FORCED_TOOL, NO_ANY_TOOL, NO_TOOLS], [FORCED, ANY, "auto", None]),
        ([NO_TOOLS], [FORCED, None]),
        (
            [NO_FORCED_THINKING],
            [FORCED, "auto"],
        ),
        (["tool_choice: Input tag 'tool' is not supported"], [FORCED, "auto"]),
        (["The toolConfig field isn't supported by this model"], [FORCED, None]),
    ],
)  # fmt: skip
def test_a_schema_is_asked_for_in_the_next_weaker_way(
    model: BedrockModel,
    stubber: Stubber,
    requests: list[dict[str, Any]],
    messages: list[str],
    choices: list[object],
) -> None:
    """A forced tool, any tool, an offered one, none: the process remembers the model's way."""
    refuse_parts(stubber, *messages)
    stubber.add_response("converse", converse_response({"text": '{"name": "B"}'}))
    prompt = make_prompt(schema=SCHEMA)
    assert model.generate(prompt, timeout=60).text == '{"name": "A"}'
    assert model.generate(prompt, timeout=60).text == '{"name": "B"}'
    seen = [
        None if "toolConfig" not in each else each["toolConfig"].get("toolChoice", "auto")
        for each in requests
    ]
    assert seen == [*choices, choices[-1]]
    assert len(model.describe_adaptations(prompt.model)) == len(messages)
    assert model.describe_adaptations("another-model") == ()


def test_a_schema_that_a_model_cannot_take_says_nothing_of_others(
    model: BedrockModel, stubber: Stubber, requests: list[dict[str, Any]]
) -> None:
    """A refused schema goes without the tool; the next one is sent with it again."""
    refused = "The value at toolConfig.tools.0.toolSpec.inputSchema.json is invalid: no $ref"
    refuse_parts(stubber, refused)
    stubber.add_response("converse", converse_response({"text": "{}"}))
    for _ in range(2):
        model.generate(make_prompt(schema=SCHEMA), timeout=60)
    assert ["toolConfig" in each for each in requests] == [True, False, True]


def test_instructions_go_before_the_first_question_where_a_system_prompt_is_refused(
    model: BedrockModel, stubber: Stubber, requests: list[dict[str, Any]]
) -> None:
    """A model without system prompts gets the instructions as the first text, and is remembered."""
    refuse_parts(stubber, NO_SYSTEM)
    prompt = replace(make_prompt(), turns=(ChatTurn(question="When?", answer="In March."),))
    model.generate(prompt, timeout=60)
    assert "system" not in requests[-1]
    assert [message["content"] for message in requests[-1]["messages"]] == [
        [{"text": "You answer mails."}, {"text": "When?"}],
        [{"text": "In March."}],
        [{"text": "<body>Hello</body>"}],
    ]


@pytest.mark.parametrize(
    ("message", "inference"),
    [
        (NO_TEMPERATURE, {"maxTokens": 300}),
        ("This model doesn't support the temperature field. Remove it.", {"maxTokens": 300}),
        ("Malformed input request: extraneous key [inferenceConfig] is not permitted", None),
        ("This model doesn't support the maxTokens field. Remove maxTokens and try again.", None),
    ],
)
def test_parameters_that_a_model_refuses_are_left_out(
    model: BedrockModel,
    stubber: Stubber,
    requests: list[dict[str, Any]],
    message: str,
    inference: dict[str, int] | None,
) -> None:
    """A temperature, or all of the inference settings, are left out for a model without them."""
    refuse_parts(stubber, message)
    model.generate(make_prompt(temperature=0.5), timeout=60)
    assert requests[-1].get("inferenceConfig") == inference


def test_a_value_out_of_bounds_is_no_refused_parameter(
    model: BedrockModel, stubber: Stubber
) -> None:
    """A temperature that is too high fails, and is not dropped behind its owner's back."""
    message = (
        "1 validation error detected: Value '1.5' at 'inferenceConfig.temperature' failed to"
        " satisfy constraint: Member must have value less than or equal to 1"
    )
    stubber.add_client_error("converse", "ValidationException", message, 400)
    with pytest.raises(ModelRefusedError) as refused:
        model.generate(make_prompt(temperature=1.5), timeout=60)
    assert refused.value.reason is Reason.INVALID_REQUEST


def test_a_value_out_of_bounds_is_not_held_against_another(
    model: BedrockModel, stubber: Stubber, requests: list[dict[str, Any]]
) -> None:
    """A temperature that is refused beside its bounds is sent again with the next prompt."""
    refuse_parts(
        stubber, "temperature of 1.5 is not supported by this model. Use one between 0 and 1."
    )
    stubber.add_response("converse", converse_response({"text": "Hi"}))
    for temperature in (1.5, 0.5):
        model.generate(make_prompt(temperature=temperature), timeout=60)
    sent = [each["inferenceConfig"].get("temperature") for each in requests]
    assert sent == [1.5, None, 0.5]


def test_a_refusal_of_everything_ends() -> None:
    """A model that refuses each request is asked a few times, and then fails."""
    everything = f"{NO_TOOLS} {NO_SYSTEM} {NO_FORCED_TOOL} temperature, maxTokens: not supported."
    replies = Replies(400, {"message": everything}, error="ValidationException")
    with pytest.raises(ModelRefusedError) as refused:
        replies.model().generate(make_prompt(schema=SCHEMA, temperature=0.5), timeout=60)
    assert refused.value.reason is Reason.INVALID_REQUEST
    assert len(replies.asked) == 7


def test_only_what_has_led_to_an_answer_is_remembered() -> None:
    """Refusals before a failure of another kind are forgotten with it."""
    replies = Replies(400, {"message": NO_TOOLS}, error="ValidationException")
    model = replies.model()
    replies.then(400, {"message": "Input is too long"}, error="ValidationException")
    with pytest.raises(ModelRefusedError):
        model.generate(make_prompt(schema=SCHEMA), timeout=60)
    assert model.describe_adaptations(make_prompt().model) == ()


def test_there_is_no_second_request_without_time(
    model: BedrockModel, stubber: Stubber, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All requests of a call share its time."""
    stubber.add_client_error("converse", "ValidationException", NO_TOOLS, 400)
    moments = iter([0.0, 59.5])
    monkeypatch.setattr(time, "monotonic", lambda: next(moments))
    with pytest.raises(ModelTimedOutError):
        model.generate(make_prompt(schema=SCHEMA), timeout=60)


# --- any answer at all --------------------------------------------------------------------------


class Replies:
    """A Bedrock that answers each request with an HTTP response, read by botocore's own parser."""

    def __init__(
        self, status: int, body: object, *, error: str | None = None, region: str = "eu-west-1"
    ) -> None:
        self.asked: list[object] = []
        self._replies = [(status, body, error)]
        session = botocore.session.get_session()
        session.set_credentials("key", "secret")
        self._client = session.create_client(
            "bedrock-runtime", region_name=region, config=Config(retries={"total_max_attempts": 1})
        )
        self._client.meta.events.register("before-send.bedrock-runtime.Converse", self._answer)

    def then(self, status: int, body: object, *, error: str | None = None) -> None:
        """Answer the next requests with this, after one with each reply before."""
        self._replies.append((status, body, error))

    def model(self) -> BedrockModel:
        """Return the model that it is."""
        return BedrockModel(lambda _read_timeout: self._client)  # type: ignore[arg-type, return-value] # of another stub

    def _answer(self, request: object, **_: object) -> Any:  # noqa: ANN401 - botocore takes it for the answer
        self.asked.append(request)
        at = min(len(self.asked), len(self._replies)) - 1
        status, body, error = self._replies[at]
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        response = AWSResponse("https://bedrock", status, HTTPHeaders(), None)
        if error is not None:
            response.headers["x-amzn-ErrorType"] = error
        vars(response)["_content"] = content  # which is read from a stream elsewhere
        return response


ODD: list[object] = [
    None, True, -1, 0, 1.5, 10**30, float("inf"), float("nan"), "", "text", "\ud83d", [], [None],
    {}, {"text": 7}, [[]],
    {"text": "x"}, {"toolUse": {}}, {"toolUse": {"input": None}}, {"reasoningContent": 1},
    {"citationsContent": {"content": [{"text": 1}]}}, {"message": {"content": 1}}, "end_turn",
    "max_tokens", "tool_use", "malformed_tool_use", {"inputTokens": "many"}, {"inputTokens": None},
]  # fmt: skip


def mutate(rng: random.Random, value: object, depth: int = 0) -> object:
    """Return a value with parts replaced by odd ones, left out or repeated."""
    if rng.random() < 0.12 + 0.02 * depth:
        return rng.choice(ODD)
    if isinstance(value, dict):
        return {
            name: mutate(rng, each, depth + 1)
            for name, each in value.items()
            if rng.random() > 0.06
        }
    if isinstance(value, list):
        return [mutate(rng, each, depth + 1) for each in value for _ in range(rng.randrange(1, 3))]
    return value


@pytest.mark.parametrize("seed", SEED_PARAMS)
def test_any_answer_is_a_completion_or_one_of_the_three_kinds(seed: int) -> None:
    """For any bytes of Bedrock, no other exception leaves the model, and no words do."""
    rng = seeded(seed)
    prompts = [make_prompt(), make_prompt(schema=SCHEMA, temperature=0.5)]
    answer = converse_response(
        {"reasoningContent": {"reasoningText": {"text": "SECRET"}}},
        {"text": "Dear Jane"},
        {"citationsContent": {"content": [{"text": "."}], "citations": []}},
        tool_use({"name": "A"}),
    )
    replies = Replies(200, answer)
    model = replies.model()
    for _ in range(250):
        status = rng.choice([200, 200, 200, 200, 400, 403, 404, 424, 429, 500, 503])
        error = rng.choice(
            ["ValidationException", "ThrottlingException", "Odd:Exception", "AccessDeniedException"]
        )
        body: object = mutate(rng, answer)
        if status != 200:
            body = mutate(rng, {"message": f"{rng.choice([NO_TOOLS, NO_SYSTEM, ''])} SECRET"})
        if rng.random() < 0.3:
            text = json.dumps(body).encode()
            at = rng.randrange(len(text) + 1)
            body = rng.choice(
                [text[:at], b"<html>SECRET</html>", b"", b"\xff\xfe", b"[" * 50_000, text + b"}"]
            )
        replies.then(status, body, error=None if status == 200 else error)
        replies.asked = [None] * 10_000
        try:
            completion = model.generate(rng.choice(prompts), timeout=60)
        except (ModelRefusedError, ModelTimedOutError, ModelUnavailableError) as failed:
            assert "SECRET" not in str(failed)  # noqa: PT017 - or there is a completion
        else:
            assert "SECRET" not in completion.text
            completion.text.encode()
            assert completion.tokens_in >= 0
            assert completion.tokens_out >= 0


@pytest.mark.parametrize(
    ("usage", "tokens", "estimated"),
    [
        ({"inputTokens": 21, "outputTokens": 7, "totalTokens": 28}, (21, 7), False),
        ({"inputTokens": None, "outputTokens": None}, (12, 3), True),
        ({}, (12, 3), True),
        (None, (12, 3), True),
        ({"inputTokens": -5, "outputTokens": 7, "totalTokens": 2}, (12, 7), True),
    ],
)
def test_usage_never_fails_an_answer(
    usage: object, tokens: tuple[int, int], *, estimated: bool
) -> None:
    """Tokens that Bedrock does not count are estimated, and marked as such."""
    answer = {**converse_response({"text": "Dear Jane"}), "usage": usage}
    completion = Replies(200, answer).model().generate(make_prompt(), timeout=60)
    assert completion.text == "Dear Jane"
    assert (completion.tokens_in, completion.tokens_out) == tokens
    assert completion.estimated is estimated


def test_a_request_that_botocore_refuses_is_final() -> None:
    """A model's id that is none fails at once, without a request."""
    replies = Replies(200, {})
    with pytest.raises(ModelRefusedError) as refused:
        replies.model().generate(replace(make_prompt(), model=""), timeout=60)
    assert refused.value.reason is Reason.INVALID_REQUEST
    assert replies.asked == []


def test_files_without_words_come_with_some(
    model: BedrockModel, stubber: Stubber, requests: list[dict[str, Any]]
) -> None:
    """Bedrock refuses a blank text beside a file."""
    stubber.add_response("converse", converse_response({"text": "Hi"}))
    attached = (Attachment(media_type="image/png", content=b"PNG"),)
    model.generate(replace(make_prompt(), user=" ", attachments=attached), timeout=60)
    assert requests[-1]["messages"][0]["content"][0] == {"text": "The files are attached."}
