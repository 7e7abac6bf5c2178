"""`afterword model check`, against a scripted endpoint and a scripted Bedrock."""

import json
import re
import threading
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSPreparedRequest
from moto.core.botocore_stubber import BotocoreStubber

from afterword.runtime.clients import clients
from cli import model_checks
from tests.cli.conftest import Afterword, CloudFormation, announce, usage_error
from tests.harness import model_endpoint
from tests.harness.model_endpoint import Endpoint, Request
from tests.harness.web_servers import file

CHECK = ("model", "check")
KEY = "sk-very-secret"
MODEL = "some-model"
JSON_OBJECT = "a schema is asked for by json_object and in words: json_schema is refused"
_SECONDS = re.compile(r" +\d+\.\d s")


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch, aws: None) -> None:  # noqa: ARG001 - it sets some
    """Leave out the variables of an operator, which functions have under the same names."""
    for name in ("STACK", "MODEL", "MODEL_URL", "MODEL_API_KEY", "MODEL_PROVIDER"):
        monkeypatch.delenv(f"AFTERWORD_{name}", raising=False)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """Serve an endpoint that takes all that it is asked."""
    with model_endpoint.answering() as endpoint:
        yield endpoint


def lines_of(output: str) -> list[str]:
    """Return the lines of a check without its seconds and its first line."""
    return [
        " ".join(_SECONDS.sub("", line).split()) for line in output.splitlines()[1:] if line.strip()
    ]


def verdicts(output: str) -> dict[str, str]:
    """Return the rest of each line by its first words."""
    found: dict[str, str] = {}
    for line in lines_of(output):
        check = re.match(r"text|array|json|template|class|one token|adapted|not asked", line)
        assert check is not None, line
        found[check[0]] = line.removeprefix(check[0]).strip()
    return found


def answered(endpoint: Endpoint, afterword: Afterword, *more: object) -> dict[str, str]:
    """Check the endpoint, which has a plain text, and return the lines by their first words."""
    result = afterword(*CHECK, "--url", endpoint.url, "--model", MODEL, *more)
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    return verdicts(result.stdout)


# --- an endpoint that can do all, and what others refuse -----------------------------------------


def test_each_kind_of_answer_has_a_line(afterword: Afterword, endpoint: Endpoint) -> None:
    """The model's name and place come first, then a line for each kind with seconds and tokens."""
    result = afterword(*CHECK, "--url", endpoint.url, "--model", MODEL)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[0] == f"{MODEL} at {endpoint.url}"
    assert re.fullmatch(
        r"text +works +\d+\.\d s +20 tokens in, 5 out", result.stdout.split("\n")[1]
    )
    assert lines_of(result.stdout) == [
        "text works 20 tokens in, 5 out",
        "array works 20 tokens in, 5 out",
        "json works 20 tokens in, 5 out",
        "template works 20 tokens in, 5 out",
        "class works 20 tokens in, 5 out the confidence is measured, by log probabilities",
        "one token works 20 tokens in, 1 out an answer that is cut off says so",
    ]
    assert [request["max_tokens"] for request in endpoint.requests] == [1000] * 5 + [1]


def refusing(name: str, status: int, message: str, **error: object) -> model_endpoint.Refusal:
    """Return a refusal of requests that have a member of this name."""

    def refuse(request: Request) -> tuple[int, object] | None:
        return (status, {"error": {"message": message, **error}}) if name in request else None

    return refuse


def refuse_json_schema(request: Request) -> tuple[int, object] | None:
    """Refuse a schema, as DeepSeek does, and take json_object."""
    if request.get("response_format", {}).get("type") != "json_schema":
        return None
    message = "This response_format type is unavailable now"
    return 400, {"error": {"message": message, "type": "invalid_request_error"}}


def refuse_system(request: Request) -> tuple[int, object] | None:
    """Refuse a system message, as vLLM does with Gemma's template."""
    if request["messages"][0]["role"] != "system":
        return None
    return 400, {"object": "error", "message": "System role not supported", "code": 400}


@pytest.mark.parametrize(
    ("refuse", "adapted"),
    [
        pytest.param(
            refusing(
                "max_tokens",
                400,
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use"
                " 'max_completion_tokens' instead.",
                code="invalid_request_body",
            ),
            "max_tokens is sent as max_completion_tokens",
            id="max_tokens",
        ),
        pytest.param(
            refusing(
                "temperature",
                400,
                "Unsupported value: 'temperature' does not support 0.2 with this model.",
                code="unsupported_value",
                param="temperature",
            ),
            "temperature is left out: the model refuses it",
            id="temperature",
        ),
        pytest.param(
            refuse_json_schema,
            JSON_OBJECT,
            id="json_schema",
        ),
        pytest.param(
            refuse_system,
            "instructions go before the question: a system message is refused",
            id="system",
        ),
    ],
)
def test_what_is_refused_is_done_without_and_said(
    afterword: Afterword, endpoint: Endpoint, refuse: model_endpoint.Refusal, adapted: str
) -> None:
    """A parameter that is refused is renamed or left out, and all answers come the same."""
    endpoint.refuse = refuse
    lines = answered(endpoint, afterword)
    assert lines.pop("adapted") == adapted
    assert [line.split()[0] for line in lines.values()] == ["works"] * 6


def test_a_model_without_log_probabilities(afterword: Afterword, endpoint: Endpoint) -> None:
    """Where log probabilities are refused, or do not come, the confidence is the model's word."""
    endpoint.logprobs = False
    word = "the confidence is the model's own word: it gives no log probabilities"
    assert answered(endpoint, afterword)["class"] == f"works 20 tokens in, 5 out {word}"
    endpoint.refuse = refusing("logprobs", 422, "logprobs: extra inputs are not permitted")
    lines = answered(endpoint, afterword)
    assert lines["class"] == f"works 20 tokens in, 5 out {word}"
    assert lines["adapted"].startswith("logprobs are left out")


def test_a_model_that_writes_no_json(afterword: Afterword, endpoint: Endpoint) -> None:
    """A kind of answer that fails says why, and what flows do about it; the exit code stays 0."""
    chatter = "I would rather talk about the weather."
    endpoint.texts = dict.fromkeys(("array", "json", "template", "class"), chatter)
    lines = answered(endpoint, afterword)
    assert [lines[check].split()[0] for check in ("text", "one token")] == ["works"] * 2
    for check, output in (("array", "array"), ("json", "json"), ("class", "classification")):
        why = f"invalid_output: The model's output is not the {output} of the flow's step check."
        assert why in lines[check]
    assert "Steps with the output json fail with this model: name another in them." in lines["json"]
    assert "invalid_response: The model's output for the template is not JSON." in lines["template"]
    assert "Mails with a template fail with this model" in lines["template"]
    assert lines["array"].startswith("fails 40 tokens in, 10 out")
    assert lines["text"] == "works 20 tokens in, 5 out"


def test_a_model_that_needs_a_second_question(afterword: Afterword, endpoint: Endpoint) -> None:
    """The worker's repair question is asked, too; its tokens are counted, and its price is said."""
    endpoint.texts = dict.fromkeys(("array", "class"), "I would rather talk about the weather.")
    endpoint.learns = frozenset(endpoint.texts)
    lines = answered(endpoint, afterword)
    twice = "only after a second question that says what is wrong: such steps cost about twice"
    assert lines["array"] == f"works 40 tokens in, 10 out {twice} as much"
    assert lines["class"].startswith(f"works 40 tokens in, 10 out {twice} as much; the confidence")
    assert lines["json"] == "works 20 tokens in, 5 out"


def test_a_limit_that_is_not_kept(afterword: Afterword, endpoint: Endpoint) -> None:
    """A model that writes on beyond max_tokens, and one that hides its cut, are told apart."""
    endpoint.texts["one token"] = "one two three four five six seven eight nine"
    assert answered(endpoint, afterword)["one token"] == (
        "fails 20 tokens in, 9 out max_tokens is not kept: 9 tokens came where 1 was asked for."
        " Answers may cost more than a flow allows; the tenant's limit of tokens still holds."
    )
    endpoint.texts["one token"], endpoint.finish["one token"] = "One", "stop"
    assert answered(endpoint, afterword)["one token"] == (
        "fails 20 tokens in, 1 out An answer that is cut off does not say so. Texts that end too"
        " early look finished: give steps a max_tokens that is high enough."
    )


def test_reasoning_that_takes_all_tokens(afterword: Afterword, endpoint: Endpoint) -> None:
    """A model that reasons first says that it was cut off, and needs more tokens in flows."""
    endpoint.texts["one token"] = ""
    line = answered(endpoint, afterword)["one token"]
    assert line.startswith("works 20 tokens in, ")
    assert "an answer that is cut off says so, though without a text." in line
    assert "give each step of a flow a max_tokens of thousands." in line


def test_estimated_tokens(afterword: Afterword, endpoint: Endpoint) -> None:
    """Tokens that the endpoint does not count are shown as about so many."""
    endpoint.usage = None
    assert re.fullmatch(
        r"works about \d+ tokens in, \d+ out", answered(endpoint, afterword)["text"]
    )


# --- an endpoint without a plain text ------------------------------------------------------------


def failed(afterword: Afterword, *arguments: object) -> str:
    """Check a model that has no plain text, and return that line's rest after `fails`."""
    result = afterword(*CHECK, "--model", MODEL, *arguments)
    assert (result.exit_code, result.stderr) == (1, ""), result.output
    assert KEY not in result.output
    lines = verdicts(result.stdout)
    assert lines["not asked"] == "array, json, template, class, one token: there is no text"
    return lines["text"].removeprefix("fails ")


def test_a_wrong_key(afterword: Afterword, endpoint: Endpoint) -> None:
    """A key that is refused stops the check, and neither the key nor its end is shown."""
    message = f"Incorrect API key provided: {KEY}."
    error = {"error": {"message": message, "code": "invalid_api_key"}}
    endpoint.refuse = lambda _: (401, error)
    line = failed(afterword, "--url", endpoint.url, "--api-key", KEY)
    assert line == (
        "model_access_denied: The model endpoint answered 401 (invalid_api_key). Check the model's"
        " API key."
    )
    (sent,) = endpoint.server.headers
    assert sent["Authorization"] == f"Bearer {KEY}"


def test_an_endpoint_that_cannot_be_reached(afterword: Afterword) -> None:
    """An endpoint that does not answer says what to check, without the URL's user and query."""
    url = f"http://me:{KEY}@127.0.0.1:9/v1?key={KEY}"
    result = afterword(*CHECK, "--url", url, "--model", MODEL)
    assert result.stdout.splitlines()[0] == f"{MODEL} at http://127.0.0.1:9/v1"
    assert failed(afterword, "--url", url) == (
        "unavailable: The model endpoint cannot be reached. Check the base URL, which ends with the"
        " API's version (…/v1), or the region, and that this machine reaches it."
    )


def test_a_page_of_html(afterword: Afterword, endpoint: Endpoint) -> None:
    """A page in place of an answer, such as of a login, says to check the base URL."""
    endpoint.server.pages["/v1/chat/completions"] = file(
        b"<!doctype html><html>Please log in</html>", 200, content_type="text/html"
    )
    line = failed(afterword, "--url", endpoint.url)
    assert "Check the base URL" in line
    assert "log in" not in line


def test_a_model_that_is_not_there(afterword: Afterword, endpoint: Endpoint) -> None:
    """An unknown model, or a URL without its version, says so."""
    endpoint.refuse = lambda _: (404, {"error": {"message": "no", "code": "model_not_found"}})
    line = failed(afterword, "--url", endpoint.url)
    assert line.startswith("model_not_found: The model endpoint answered 404 (model_not_found).")
    assert "Check the model's name and base URL." in line


def test_a_throttled_model(afterword: Afterword, endpoint: Endpoint) -> None:
    """A throttled model is worth another check, and the worker's next try."""
    endpoint.refuse = lambda _: (429, {"error": {"code": "rate_limit_exceeded"}})
    assert failed(afterword, "--url", endpoint.url) == (
        "throttled: The model endpoint answered 429 (rate_limit_exceeded). The worker asks again"
        " until the deadline: repeat the check in a minute."
    )


def test_a_slow_model(afterword: Afterword, endpoint: Endpoint) -> None:
    """A model that takes longer than --timeout says how long the worker would wait."""

    def wait(_: object) -> None:
        ended.wait(10)

    ended = threading.Event()
    endpoint.server.pages["/v1/chat/completions"] = wait
    try:
        line = failed(afterword, "--url", endpoint.url, "--timeout", 1)
    finally:
        ended.set()
    assert line.startswith("timed_out: The model endpoint did not answer in time. It had 1 s: ")


# --- which model ---------------------------------------------------------------------------------


def test_the_result_as_json(afterword: Afterword, endpoint: Endpoint) -> None:
    """--json has the model, each kind of answer, and what was learned."""
    endpoint.refuse = refuse_json_schema
    endpoint.texts["json"] = "none"
    result = afterword(*CHECK, "--url", endpoint.url, "--model", MODEL, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    shown = json.loads(result.stdout)
    checks = {each.pop("check"): each for each in shown.pop("checks")}
    assert shown == {
        "model": MODEL,
        "provider": "openai",
        "url": endpoint.url,
        "not_asked": [],
        "adaptations": [
            "a schema is asked for by json_object and in words: json_schema is refused"
        ],
    }
    assert list(checks) == [question.check for question in model_checks.QUESTIONS]
    seconds = checks["text"].pop("seconds")
    assert 0 <= seconds < 60
    assert checks["text"] == {
        "works": True,
        "tokens_in": 20,
        "tokens_out": 5,
        "estimated": False,
        "reason": None,
        "message": None,
        "hint": None,
        "answered": True,
    }
    assert (checks["json"]["works"], checks["json"]["reason"]) == (False, "invalid_output")


def deploy(cloudformation: CloudFormation, **parameters: str) -> None:
    """Let the stack `afterword` have this model."""
    outputs = cloudformation.outputs["afterword"]
    cloudformation.outputs["afterword"] = {**outputs, "ModelId": "stack-model"}
    cloudformation.parameters |= parameters


@pytest.mark.usefixtures("stack")
def test_the_stacks_model(
    afterword: Afterword, endpoint: Endpoint, cloudformation: CloudFormation
) -> None:
    """Without an endpoint the stack's model is asked, with its key of Secrets Manager."""
    arn = clients().secrets_manager.create_secret(Name="model-key", SecretString=KEY)["ARN"]
    deploy(
        cloudformation,
        ModelProvider="openai",
        ModelBaseUrl=endpoint.url,
        ModelApiKeySecretArn=arn,
    )
    result = afterword(*CHECK)
    assert (result.exit_code, result.stdout.splitlines()[0]) == (
        0,
        f"stack-model at {endpoint.url}",
    )
    assert KEY not in result.output
    assert {sent["Authorization"] for sent in endpoint.server.headers} == {f"Bearer {KEY}"}
    assert {request["model"] for request in endpoint.requests} == {"stack-model"}
    other = afterword(*CHECK, "--model", "another").stdout
    assert other.splitlines()[0] == f"another at {endpoint.url}"


@pytest.mark.usefixtures("stack")
def test_a_secret_that_cannot_be_read(
    afterword: Afterword, endpoint: Endpoint, cloudformation: CloudFormation
) -> None:
    """A key that your credentials cannot read says which rights are needed."""
    arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:gone-AbCdEf"
    deploy(
        cloudformation, ModelProvider="openai", ModelBaseUrl=endpoint.url, ModelApiKeySecretArn=arn
    )
    result = afterword(*CHECK)
    assert result.exit_code == 1
    assert "The model's API key cannot be read." in result.stdout
    assert "secretsmanager:GetSecretValue" in result.stdout
    assert endpoint.requests == []


@pytest.mark.usefixtures("stack")
def test_the_embedded_stacks_model(
    afterword: Afterword, endpoint: Endpoint, cloudformation: CloudFormation, announced: Path
) -> None:
    """--local asks the model of the stack that runs, whatever the variables of `make dev` are."""
    announce(announced)
    deploy(cloudformation, ModelProvider="openai", ModelBaseUrl=endpoint.url)
    result = afterword("--local", *CHECK)
    assert result.stdout.splitlines()[0] == f"stack-model at {endpoint.url}"


@pytest.mark.usefixtures("stack")
def test_a_stack_that_does_not_say_its_model(
    afterword: Afterword, cloudformation: CloudFormation
) -> None:
    """A stack without the parameters is one line."""
    result = afterword(*CHECK)
    assert (result.exit_code, result.stdout, result.stderr) == (
        1,
        "",
        "afterword: The stack does not say which model it has: deploy this version.\n",
    )
    deploy(cloudformation, ModelProvider="openai", ModelBaseUrl="")
    assert afterword(*CHECK).stderr == (
        "afterword: The stack has no base URL of its model: deploy it with one.\n"
    )


@pytest.mark.usefixtures("stack")
def test_variables_of_make_dev_name_an_endpoint_unless_a_stack_is_named(
    afterword: Afterword,
    endpoint: Endpoint,
    cloudformation: CloudFormation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The variables of `make dev` name an endpoint with its key; a stack that is named is first."""
    deploy(cloudformation, ModelProvider="openai", ModelBaseUrl=endpoint.url)
    monkeypatch.setenv("AFTERWORD_MODEL_URL", endpoint.url)
    monkeypatch.setenv("AFTERWORD_MODEL", MODEL)
    monkeypatch.setenv("AFTERWORD_MODEL_API_KEY", KEY)
    assert afterword(*CHECK).stdout.splitlines()[0] == f"{MODEL} at {endpoint.url}"
    assert endpoint.server.headers[-1]["Authorization"] == f"Bearer {KEY}"
    result = afterword("--stack", "afterword", *CHECK)
    assert result.stdout.splitlines()[0] == f"stack-model at {endpoint.url}"
    assert "Authorization" not in endpoint.server.headers[-1]
    monkeypatch.setenv("AFTERWORD_MODEL_URL", "")
    monkeypatch.setenv("AFTERWORD_MODEL_PROVIDER", "demo")
    assert afterword(*CHECK).stdout.splitlines()[0] == f"stack-model at {endpoint.url}"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--url", "localhost/v1", "--model", "m"), "--url: must be an http or https URL"),
        (("--url", "http://localhost/v1"), "--model: must name the endpoint's model"),
        (("--provider", "bedrock"), "--model: must name the endpoint's model"),
        (("--provider", "openai", "--model", "m"), "--url: must be given with"),
        (("--provider", "azure", "--model", "m"), "--provider: must be bedrock or openai"),
        (("--timeout", "0"), "--timeout"),
    ],
)
@pytest.mark.usefixtures("stack")
def test_a_wrong_command_line(
    afterword: Afterword, options: tuple[str, ...], complaint: str
) -> None:
    """An endpoint needs a URL or Amazon Bedrock, and a model's name."""
    assert complaint in usage_error(afterword(*CHECK, *options))


# --- Amazon Bedrock ------------------------------------------------------------------------------


class Bedrock:
    """Answers Converse in place of AWS, with a good answer or a refusal."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.urls: list[str] = []
        self.refusal: tuple[str, str] | None = None
        self.takes_tools = True

    def answer(self, request: AWSPreparedRequest) -> tuple[int, dict[str, str], str]:
        """Answer a request."""
        assert isinstance(request.body, str | bytes)
        asked: dict[str, Any] = json.loads(request.body)
        self.requests.append(asked)
        self.urls.append(str(request.url))
        refusal = self.refusal
        if not self.takes_tools and "toolConfig" in asked:
            refusal = ("ValidationException", "This model doesn't support tool use.")
        if refusal is not None:
            code, message = refusal
            kind = {"x-amzn-ErrorType": code}
            return HTTPStatus.BAD_REQUEST, kind, json.dumps({"message": message})
        messages = [{"content": asked.get("system", [])}, *asked["messages"]]
        question = model_endpoint.find_question({"messages": messages})
        text = model_endpoint.good_text(question)
        block: dict[str, object] = {"text": text}
        if "toolConfig" in asked:
            block = {"toolUse": {"toolUseId": "1", "name": "reply", "input": json.loads(text)}}
        stop = "max_tokens" if question.step.max_tokens == 1 else "end_turn"
        body = {
            "output": {"message": {"role": "assistant", "content": [block]}},
            "stopReason": stop,
            "usage": {"inputTokens": 20, "outputTokens": 1, "totalTokens": 21},
            "metrics": {"latencyMs": 1},
        }
        return HTTPStatus.OK, {"content-type": "application/json"}, json.dumps(body)


@pytest.fixture
def bedrock(
    cloudformation: CloudFormation,  # noqa: ARG001 - the other answers are its
    monkeypatch: pytest.MonkeyPatch,
) -> Bedrock:
    """Answer for Bedrock, also at the address of an embedded stack's relay."""
    fake = Bedrock()
    process = BotocoreStubber.process_request

    def answer(self: BotocoreStubber, request: AWSPreparedRequest) -> object:
        return fake.answer(request) if "/converse" in request.url else process(self, request)

    monkeypatch.setattr(BotocoreStubber, "process_request", answer)
    return fake


@pytest.mark.usefixtures("stack")
def test_a_stacks_model_on_bedrock(
    afterword: Afterword, bedrock: Bedrock, cloudformation: CloudFormation
) -> None:
    """A stack's model on Bedrock is asked with your own credentials, in the stack's region."""
    deploy(cloudformation, ModelProvider="bedrock", ModelBaseUrl="", ModelApiKeySecretArn="")
    result = afterword(*CHECK)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[0] == "stack-model on Amazon Bedrock"
    assert [line.split()[0] for line in verdicts(result.stdout).values()] == ["works"] * 6
    assert {url.split("/")[2] for url in bedrock.urls} == {
        "bedrock-runtime.eu-west-1.amazonaws.com"
    }


def test_a_model_of_bedrock_that_no_stack_has(afterword: Afterword, bedrock: Bedrock) -> None:
    """--provider bedrock needs no stack, and a refusal has the remedy of its message."""
    bedrock.refusal = ("AccessDeniedException", "no")
    result = afterword(*CHECK, "--provider", "bedrock", "--model", "amazon.nova-lite-v1:0")
    assert result.exit_code == 1
    assert "amazon.nova-lite-v1:0 on Amazon Bedrock" in result.stdout
    assert "Check the account's access to the model" in result.stdout
    assert len(bedrock.requests) == 1


def test_a_model_of_bedrock_without_tools(afterword: Afterword, bedrock: Bedrock) -> None:
    """A model that takes no tools is asked for JSON in words, and that is said."""
    bedrock.takes_tools = False
    result = afterword(*CHECK, "--provider", "bedrock", "--model", "some.model-v1:0")
    lines = verdicts(result.stdout)
    assert lines.pop("adapted") == "a schema is asked for in words alone: tools are refused"
    assert [line.split()[0] for line in lines.values()] == ["works"] * 6


def test_a_model_of_bedrock_that_needs_a_profile(afterword: Afterword, bedrock: Bedrock) -> None:
    """A model that has to be called by an inference profile says so, with the id to use."""
    bedrock.refusal = (
        "ValidationException",
        (
            "Invocation of model ID amazon.nova-pro-v1:0 with on-demand throughput isn't supported."
            " Retry your request with the ID or ARN of an inference profile that contains this"
            " model."
        ),
    )
    result = afterword(*CHECK, "--provider", "bedrock", "--model", "amazon.nova-pro-v1:0")
    assert result.exit_code == 1
    assert "eu.amazon.nova-pro-v1:0" in verdicts(result.stdout)["text"]


@pytest.mark.usefixtures("stack")
def test_an_embedded_stacks_model_on_bedrock(
    afterword: Afterword, bedrock: Bedrock, cloudformation: CloudFormation, announced: Path
) -> None:
    """--local asks Bedrock where the embedded worker does, and not the emulated AWS."""
    deploy(cloudformation, ModelProvider="bedrock", ModelBaseUrl="", ModelApiKeySecretArn="")
    announce(announced)
    relay = "http://127.0.0.1:4599"
    announced.write_text(json.dumps({**json.loads(announced.read_text()), "bedrock": relay}))
    assert afterword("--local", *CHECK).exit_code == 0
    assert {url.split("/")[2] for url in bedrock.urls} == {"127.0.0.1:4599"}
