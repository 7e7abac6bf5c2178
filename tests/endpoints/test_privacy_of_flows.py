"""Data that leave to their owner alone, of forms, files, titles and flows of several steps."""

import io
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from afterword.flows.drafts import Flow
from afterword.generations import Status
from afterword.models import LENGTH, ModelTimedOutError, ModelUnavailableError, Prompt
from afterword.services import services
from afterword.tenants import keys
from tests.conftest import Call, Event, LambdaContext, Tenant
from tests.harness import pdf_files
from tests.harness.api import invoke
from tests.harness.fake_model import FakeModel, completion, raising
from tests.harness.genai_stack import Client
from tests.harness.promptitude import generation_event

FLOW = {
    "id": "letters",
    "name": "Letters",
    "inputs": [
        {"name": "topic", "max_length": 40},
        {"name": "paper", "kind": "file", "required": False},
    ],
    "steps": [
        {"name": "ideas", "prompt": "Ideas about {{topic}}: {{paper}}", "output": "array"},
        {"name": "letter", "prompt": "A letter of {{ideas}}"},
    ],
}
WORDS = ("Xylophone", "Yttrium", "Zirconium", "Quokka", "Wombat", "Narwhal", "Axolotl", "Pangolin")
TOPIC, NAME, CONTENT, TITLE, USER, IDEA, LETTER, KEY = WORDS
LEAVES = frozenset({"sqs.SendMessage", "eventbridge.PutEvents"})

type Leaked = Callable[[], list[str]]


@pytest.fixture
def client(
    tenant: Tenant,
    load_event: Callable[[str], Event],
    monkeypatch: pytest.MonkeyPatch,
) -> Client:
    """Return a client of an app with two steps, whose ends are made known."""
    monkeypatch.setenv("AFTERWORD_EVENT_BUS", "default")
    monkeypatch.setattr("afterword.engine.waiting.WAIT_SECONDS", 0.0)
    flow = Flow.model_validate(FLOW)
    services().registry.put_flow(tenant.id, flow.id, flow.model_dump_json(exclude_unset=True))
    scopes = [keys.Scope.SUBMIT, keys.Scope.READ]
    key = services().registry.create_key(tenant.id, scopes, flow=flow.id)[1]
    return Client(load_event, tenant.id, flow.id, key)


@pytest.fixture
def leaked(
    client: Client, log: io.StringIO, capfd: pytest.CaptureFixture[str], calls: list[Call]
) -> Leaked:
    """Return a function that gives the secret words, and the key, that have left."""
    credential = keys.parse_key(client.key)
    assert credential is not None

    def look() -> list[str]:
        captured = capfd.readouterr()
        sent = [str(call.params) for call in calls if call.operation in LEAVES]
        seen = "\n".join([log.getvalue(), captured.out, captured.err, *sent]).lower()
        assert seen.strip(), "nothing was written at all"
        return [word for word in (*WORDS, credential.secret) if word.lower() in seen]

    return look


def answer(prompt: Prompt) -> Any:  # noqa: ANN401 - a completion
    """Answer each step with its secret."""
    first = prompt.user.startswith("Ideas")
    return completion(json.dumps({"items": [IDEA]}) if first else LETTER)


def status(generation_id: str) -> Status:
    """Return where a generation stands."""
    return services().store.get("demo", generation_id).status


def test_the_watch_sees_a_leak(leaked: Leaked, log: io.StringIO) -> None:
    """A word in a line is found."""
    log.write('{"message": "about xylophone"}')
    assert leaked() == [TOPIC]


@pytest.mark.parametrize(
    "model",
    [
        FakeModel(answer),
        FakeModel(lambda _: completion(f"no JSON {IDEA}")),
        FakeModel(lambda _: completion(f'{{"items": ["{IDEA}', LENGTH)),
        FakeModel(lambda _: completion(f'{{"items": [["{IDEA}"]]}}')),
        raising(ModelUnavailableError("Busy.")),
        raising(ModelTimedOutError("Slow.")),
        raising(RuntimeError("a bug")),
    ],
    ids=range(7),
)
def test_a_form_leaves_no_word(
    client: Client,
    message_event: Callable[[str], Event],
    use_model: Callable[[FakeModel], None],
    leaked: Leaked,
    model: FakeModel,
) -> None:
    """Neither values, nor files and their names, nor results, titles and keys are written."""
    paper = (f"{NAME}.txt", f"about {CONTENT}".encode())
    result = client.submit(("topic", TOPIC), ("paper", paper), idempotency_key=KEY)
    generation_id = json.loads(result["body"])["id"]
    use_model(model)
    invoke("generate", message_event(generation_id), LambdaContext(milliseconds=300_000))
    assert CONTENT in repr(model.prompts)
    assert client.set_title(generation_id, TITLE)["statusCode"] == 200
    assert NAME in client.get(generation_id)["body"]
    assert TITLE in client.list()["body"]
    assert TITLE in client.app()["body"]
    assert leaked() == []


@pytest.mark.parametrize(
    "file",
    [
        pytest.param(pdf_files.encrypted(CONTENT, "secret"), id="locked"),
        pytest.param(b"%PDF-1.7 " + CONTENT.encode(), id="damaged"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + CONTENT.encode() * 9, id="an image"),
    ],
)
def test_a_file_that_cannot_be_read_leaves_no_word(
    client: Client,
    message_event: Callable[[str], Event],
    use_model: Callable[[FakeModel], None],
    leaked: Leaked,
    file: bytes,
) -> None:
    """A file's fault is told without a word of the file."""
    generation_id = client.submitted(("topic", TOPIC), ("paper", (NAME, file)))
    use_model(FakeModel(answer))
    invoke("generate", message_event(generation_id), LambdaContext(milliseconds=300_000))
    assert status(generation_id) is Status.FAILED
    assert leaked() == []
    message = services().store.get("demo", generation_id).message or ""
    assert [word for word in WORDS if word in message] == []


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/x-www-form-urlencoded", f"{NAME}={TOPIC}"),
        ("application/x-www-form-urlencoded", f"topic={TOPIC * 9}"),
        ("application/x-www-form-urlencoded", f"{NAME}=%zz{TOPIC}"),
        ("application/json", json.dumps({NAME: {TOPIC: CONTENT}})),
        ("application/json", f'{{"{NAME}": "{TOPIC}'),
        ("multipart/form-data; boundary=b", f"--b\r\n{NAME}: {TOPIC}\r\n\r\n{CONTENT}\r\n--b--"),
        ("multipart/form-data; boundary=b", f"--b\r\nContent-Disposition: {NAME}\r\n\r\n{TOPIC}"),
        (f"text/{NAME}", TOPIC),
    ],
)
def test_a_refused_form_leaves_no_word(
    client: Client, leaked: Leaked, content_type: str, body: str
) -> None:
    """A form is refused without its names, values and types in the log."""
    result = client.post(content_type, body.encode())
    assert result["statusCode"] in {400, 422}
    assert leaked() == []


def test_a_flows_request_leaves_no_word(  # noqa: PLR0913, PLR0917 - a whole life
    client: Client,
    tenant: Tenant,
    load_event: Callable[[str], Event],
    message_event: Callable[[str], Event],
    use_model: Callable[[FakeModel], None],
    leaked: Leaked,
) -> None:
    """Inputs, the user's id and the result of Promptitude's flows are written nowhere."""

    def post(body: Mapping[str, object]) -> dict[str, Any]:
        event = generation_event(load_event("generate_flow"), tenant, body)
        event["headers"]["authorization"] = f"Bearer {client.key}"
        event["pathParameters"] = {"flowId": "letters"}
        return invoke("generate_flow", event)

    result = post({"userId": USER, "flow": {"inputs": {"topic": TOPIC}}})
    log_id = json.loads(result["body"])["results"]["logId"]
    use_model(FakeModel(answer))
    invoke("generate", message_event(log_id), LambdaContext(milliseconds=300_000))
    event = load_event("get_flow_log")
    event["headers"]["authorization"] = f"Bearer {client.key}"
    event["pathParameters"]["logId"] = log_id
    shown = invoke("get_flow_log", event)
    assert LETTER in shown["body"]
    for wrong in ({NAME: 1}, {"flow": {"inputs": {NAME: TOPIC}}}, {"userId": [USER]}):
        assert post(wrong)["statusCode"] == 422
    assert leaked() == []


def test_a_prompts_request_leaves_no_word(  # noqa: PLR0913, PLR0917 - a whole life
    client: Client,
    tenant: Tenant,
    load_event: Callable[[str], Event],
    message_event: Callable[[str], Event],
    use_model: Callable[[FakeModel], None],
    leaked: Leaked,
) -> None:
    """Inputs, the end user, a key in the body and the result of prompts are written nowhere."""

    def post(body: Mapping[str, object]) -> dict[str, Any]:
        event = generation_event(load_event("generate_prompt"), tenant, body)
        del event["headers"]["authorization"]
        event["body"] = json.dumps({"apiKey": client.key, **body})
        return invoke("generate_prompt", event)

    prompt = {"promptId": "letters", "inputs": {"topic": TOPIC}}
    result = post({"prompt": prompt, "endUserId": USER})
    log_id = json.loads(result["body"])["results"]["logId"]
    use_model(FakeModel(answer))
    invoke("generate", message_event(log_id), LambdaContext(milliseconds=300_000))
    assert status(log_id) is Status.SUCCEEDED
    for wrong in (
        {NAME: 1},
        {"prompt": {"promptId": "letters", "inputs": {NAME: TOPIC}}},
        {"prompt": prompt, "endUserId": [USER]},
        {"prompt": prompt, "context": {NAME: TOPIC}},
    ):
        assert post(wrong)["statusCode"] == 422
    assert post({"prompt": {**prompt, "promptId": NAME}})["statusCode"] == 404
    assert leaked() == []
