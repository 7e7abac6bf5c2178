"""Options of an owner, the template's parameters: each choice comes with its permissions."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from afterword.generations import Generation, Reason, Status, Submission, SubmissionOptions
from afterword.knowledge import Draft
from afterword.runtime.clients import clients
from afterword.services import services
from tests.conftest import Call, Event, Tenant
from tests.endpoints.test_own_environment import ID
from tests.harness import roles
from tests.harness.api import invoke
from tests.harness.webhooks import Queue, Receiver, Webhooks

if TYPE_CHECKING:
    from botocore.client import BaseClient
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient

pytestmark = pytest.mark.usefixtures("greedy_tenant")

FOUNDATION = "amazon.nova-lite-v1:0"
PROFILE = f"eu.{FOUNDATION}"
PROFILE_ARN = f"arn:aws:bedrock:eu-west-1:123456789012:inference-profile/{PROFILE}"
APPLICATION_PROFILE = (
    "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/a1b2c3d4e5f6"
)
FOUNDATIONS = "arn:aws:bedrock:*::foundation-model"
API_KEY = "sk-of-the-endpoint"


def answering(client: "BaseClient", operation: str, response: Mapping[str, object]) -> None:
    """Let an operation that moto does not have answer at once."""

    def answer(**_: object) -> object:
        return SimpleNamespace(status_code=200), response

    client.meta.events.register(f"before-call.{operation}", answer)  # type: ignore[arg-type] # it may answer


@pytest.fixture
def bedrock(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 - asked for its effect
    """Let the deployment's model be Bedrock's, which says `Dear Ada,`."""
    original = clients().bedrock_runtime
    message = {"role": "assistant", "content": [{"text": "Dear Ada,"}]}
    response = {
        "output": {"message": message},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 21, "outputTokens": 7, "totalTokens": 28},
    }

    def build(read_timeout: int) -> "BedrockRuntimeClient":
        client = original(read_timeout)
        answering(client, "bedrock-runtime.Converse", response)
        return client

    monkeypatch.setattr(clients(), "bedrock_runtime", build)
    monkeypatch.setenv("AFTERWORD_MODEL_PROVIDER", "bedrock")


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that sets the models which may be invoked."""

    def allow(arns: str) -> None:
        monkeypatch.setattr(roles.deployed(), "parameters", {"BedrockModelArns": arns})

    return allow


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch, aws: None) -> Iterator[None]:  # noqa: ARG001 - its effect
    """Let the deployment's model be at an endpoint that takes a key."""

    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            known = self.headers["authorization"] == f"Bearer {API_KEY}"
            choice = {"message": {"content": "Dear Ada,"}, "finish_reason": "stop"}
            body = json.dumps({"choices": [choice]}).encode()
            self.send_response(200 if known else 401)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep the tests' output clean."""

    secret = clients().secrets_manager.create_secret(Name="model", SecretString=API_KEY)
    with ThreadingHTTPServer(("127.0.0.1", 0), Endpoint) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("AFTERWORD_MODEL_URL", f"http://127.0.0.1:{server.server_port}/v1")
        monkeypatch.setenv("AFTERWORD_MODEL_API_KEY_SECRET_ARN", secret["ARN"])
        yield
        server.shutdown()
        thread.join()


def queue(
    tenant: Tenant, model: str | None = None, context: Mapping[str, object] | None = None
) -> None:
    """Queue a generation of a flow that has this model and this context."""
    step: dict[str, object] = {"name": "reply", "prompt": "{{body}}", "max_tokens": 300}
    if model is not None:
        step["model"] = model
    if context is not None:
        step["context"] = context
    document = json.dumps({"id": "chosen", "name": "Chosen", "steps": [step]})
    services().registry.put_flow(tenant.id, "chosen", document)
    submission = Submission(
        dialect="dialonce", flow="chosen", inputs={"body": "B"}, template=None, external={}
    )
    options = SubmissionOptions(flow_version=1, retention=timedelta(days=30), notify=True)
    services().store.put(tenant.id, ID, submission, options)


def generated(message_event: Callable[[str], Event]) -> Generation:
    """Run the worker on the queued generation of the sample events; return the generation."""
    invoke("generate", message_event(ID))
    return services().store.get("demo", ID)


@pytest.mark.usefixtures("bedrock")
@pytest.mark.parametrize("model", [FOUNDATION, PROFILE, PROFILE_ARN, APPLICATION_PROFILE])
def test_any_model_of_bedrock_may_be_invoked(
    tenant: Tenant, message_event: Callable[[str], Event], listed: Callable[[str], None], model: str
) -> None:
    """With `*` the worker may invoke foundation models and both kinds of profiles."""
    listed("*")
    queue(tenant, model)
    assert generated(message_event).status == Status.SUCCEEDED


@pytest.mark.usefixtures("bedrock")
@pytest.mark.parametrize("model", [FOUNDATION, PROFILE])
def test_the_stacks_own_model_may_be_invoked(
    tenant: Tenant,
    message_event: Callable[[str], Event],
    monkeypatch: pytest.MonkeyPatch,
    model: str,
) -> None:
    """Without a list the worker may invoke the stack's model, or its profile and what is behind."""
    monkeypatch.setenv("AFTERWORD_MODEL_ID", model)
    queue(tenant)
    assert generated(message_event).status == Status.SUCCEEDED


@pytest.mark.usefixtures("bedrock")
@pytest.mark.parametrize("own", [FOUNDATION, PROFILE])
def test_no_other_model_may_be_invoked(
    tenant: Tenant,
    message_event: Callable[[str], Event],
    monkeypatch: pytest.MonkeyPatch,
    own: str,
) -> None:
    """Without a list a flow with another model fails, and the reason names the parameter."""
    monkeypatch.setenv("AFTERWORD_MODEL_ID", own)
    queue(tenant, "amazon.nova-pro-v1:0")
    generation = generated(message_event)
    assert generation.reason == Reason.MODEL_ACCESS_DENIED
    assert generation.message == (
        "Bedrock answered 403 (AccessDeniedException). Name the model in the stack's parameter"
        " BedrockModelArns, and beside an inference profile the models that it stands for."
    )


@pytest.mark.usefixtures("bedrock")
@pytest.mark.parametrize(
    ("model", "arns"),
    [
        (FOUNDATION, f"{FOUNDATIONS}/{FOUNDATION}"),
        (PROFILE, f"{PROFILE_ARN},{FOUNDATIONS}/{FOUNDATION}"),
    ],
)
def test_models_that_are_listed_may_be_invoked(
    tenant: Tenant,
    message_event: Callable[[str], Event],
    listed: Callable[[str], None],
    model: str,
    arns: str,
) -> None:
    """With a list the worker may invoke what is in it: a profile and what it chooses from."""
    listed(arns)
    queue(tenant, model)
    assert generated(message_event).status == Status.SUCCEEDED


@pytest.mark.usefixtures("bedrock")
@pytest.mark.parametrize("model", ["amazon.nova-pro-v1:0", PROFILE])
def test_models_that_are_not_listed_are_refused(
    tenant: Tenant, message_event: Callable[[str], Event], listed: Callable[[str], None], model: str
) -> None:
    """A flow with another model fails, with a reason that its owner can act on."""
    listed(f"{FOUNDATIONS}/{FOUNDATION}")
    queue(tenant, model)
    generation = generated(message_event)
    assert (generation.status, generation.reason) == (Status.FAILED, Reason.MODEL_ACCESS_DENIED)


@pytest.mark.usefixtures("endpoint")
def test_the_key_of_an_endpoint_may_be_read(
    tenant: Tenant, message_event: Callable[[str], Event]
) -> None:
    """The worker may read the secret that the owner names, and sends it to the model's endpoint."""
    queue(tenant)
    assert generated(message_event).status == Status.SUCCEEDED


@pytest.mark.usefixtures("endpoint")
def test_the_knowledge_base_may_be_asked(
    tenant: Tenant, message_event: Callable[[str], Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker may retrieve from the knowledge base that the owner names."""
    monkeypatch.setenv("AFTERWORD_KNOWLEDGE_BASE_ID", "ABCDEF0123")
    client = clients().bedrock_agent_runtime
    answering(client, "bedrock-agent-runtime.Retrieve", {"retrievalResults": []})
    draft = Draft(name="Refunds", text="Two weeks.", folder="Help")
    services().contents.create(tenant.id, draft)
    queue(tenant, context={"folders": ["Help"]})
    assert generated(message_event).status == Status.SUCCEEDED


def test_ends_may_be_published(
    tenant: Tenant, load_event: Callable[[str], Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events may be published on the bus that the owner names."""
    monkeypatch.setenv("AFTERWORD_EVENT_BUS", "company")
    clients().events.create_event_bus(Name="company")
    queue(tenant)
    services().store.cancel(tenant.id, ID)
    assert invoke("deliver", load_event("deliver")) == {"batchItemFailures": []}


def test_disabled_endpoints_may_be_published(
    webhooks: Webhooks,
    receiver: Receiver,
    webhook_queue: Queue,
    monkeypatch: pytest.MonkeyPatch,
    calls: list[Call],
) -> None:
    """That an endpoint was disabled may be published on the bus that the owner names."""
    monkeypatch.setenv("AFTERWORD_EVENT_BUS", "company")
    clients().events.create_event_bus(Name="company")
    delivery = webhooks.tested(webhooks.created()["id"])
    receiver.answers = [410]
    assert webhook_queue.deliver(delivery) == []
    assert "eventbridge.PutEvents" in [call.operation for call in calls]
