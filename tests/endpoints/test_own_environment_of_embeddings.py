"""An owner's embedding model and vector index: each choice comes with its permissions."""

import io
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from afterword.generations import Reason, Status
from afterword.knowledge import Content, Draft, vector_store
from afterword.runtime.clients import clients
from afterword.services import services
from afterword.tenants.keys import Scope
from tests.conftest import Event, LambdaContext, Tenant
from tests.endpoints.test_own_environment_of_options import (
    FOUNDATION,
    answering,
    generated,
    queue,
)
from tests.harness import roles
from tests.harness.api import Api, invoke
from tests.harness.contents import Contents
from tests.harness.deployment import EMBED_QUEUE_NAME, REFERENCES
from tests.harness.fake_embeddings import FakeEmbeddings
from tests.harness.fake_model import FakeModel, saying
from tests.harness.roles import is_lambdas_own
from tests.harness.stand_in_aws import count_messages

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient

TITAN = "amazon.titan-embed-text-v2:0"
COHERE = "eu.cohere.embed-v4:0"
INDEX = "arn:aws:s3vectors:eu-west-1:123456789012:bucket/vectors/index/passages"
VECTOR = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
SEMANTIC = {"ranking": "semantic"}
LONG = "Money. " * 3_000

type UseModel = Callable[[FakeModel], None]
type UseEmbeddings = Callable[[FakeEmbeddings], None]


@pytest.fixture
def bedrock(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 - asked for its effect
    """Let Bedrock embed all texts alike."""
    original = clients().bedrock_runtime

    def answer(params: dict[str, Any], **_: object) -> object:
        texts = json.loads(params["body"]).get("texts", ["one"])
        found = {"embedding": VECTOR, "embeddings": {"float": [VECTOR for _ in texts]}}
        body = io.BytesIO(json.dumps(found).encode())
        return SimpleNamespace(status_code=200), {"body": body}

    def build(read_timeout: int) -> "BedrockRuntimeClient":
        client = original(read_timeout)
        client.meta.events.register("before-call.bedrock-runtime.InvokeModel", answer)  # type: ignore[arg-type] # it may answer
        return client

    monkeypatch.setattr(clients(), "bedrock_runtime", build)
    monkeypatch.setenv("AFTERWORD_EMBEDDING_PROVIDER", "bedrock")
    monkeypatch.setenv("AFTERWORD_EMBED_QUEUE_URL", REFERENCES["EmbedQueue"])


def add(tenant: Tenant, text: str = "Money.") -> Content:
    """Add a content."""
    return services().contents.create(tenant.id, Draft(name="Page", folder="Help", text=text))


def embed(load_event: Callable[[str], Event], content: Content) -> object:
    """Run the embedder for a content."""
    (message,) = clients().sqs.receive_message(QueueUrl=REFERENCES["EmbedQueue"])["Messages"]
    event = load_event("embed")
    event["Records"][0] |= {
        "receiptHandle": message["ReceiptHandle"],
        "body": json.dumps({"tenant": content.tenant, "id": content.id}),
    }
    return invoke("embed", event, LambdaContext())


@pytest.mark.usefixtures("bedrock", "greedy_tenant")
@pytest.mark.parametrize("model", [TITAN, COHERE])
def test_the_embedding_model_may_be_invoked(  # noqa: PLR0913, PLR0917 - what it needs
    tenant: Tenant,
    message_event: Callable[[str], Event],
    load_event: Callable[[str], Event],
    use_model: UseModel,
    monkeypatch: pytest.MonkeyPatch,
    model: str,
) -> None:
    """The embedder and the worker may invoke the model, or its profile and what is behind it."""
    monkeypatch.setenv("AFTERWORD_EMBEDDING_MODEL", model)
    services.cache_clear()
    content = add(tenant)
    assert embed(load_event, content) == {"batchItemFailures": []}
    assert services().contents.get(tenant.id, content.id).embedded is not None
    use_model(saying("In five days."))
    queue(tenant, context=SEMANTIC)
    generation = generated(message_event)
    assert generation.status == Status.SUCCEEDED
    assert generation.completion is not None
    assert [source.title for source in generation.completion.sources] == ["Page"]


@pytest.mark.usefixtures("bedrock", "greedy_tenant")
def test_no_other_model_may_embed(
    tenant: Tenant,
    message_event: Callable[[str], Event],
    use_model: UseModel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The right is for the stack's embedding model alone, and a refusal names the parameter."""
    monkeypatch.setenv("AFTERWORD_EMBEDDING_MODEL", TITAN)
    monkeypatch.setattr(roles.deployed(), "parameters", {"EmbeddingModel": FOUNDATION})
    services.cache_clear()
    use_model(saying("In five days."))
    queue(tenant, context=SEMANTIC)
    generation = generated(message_event)
    assert generation.reason == Reason.MODEL_ACCESS_DENIED
    assert "EmbeddingModel" in (generation.message or "")


@pytest.mark.usefixtures("greedy_tenant")
def test_the_key_of_an_embedding_endpoint_may_be_read(
    tenant: Tenant,
    message_event: Callable[[str], Event],
    load_event: Callable[[str], Event],
    use_model: UseModel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The embedder and the worker may read the secret that the owner names.

    The endpoint is out of reach in this test, which both find out after they have read the key.
    """
    secret = clients().secrets_manager.create_secret(Name="embeddings", SecretString="sk-1")
    for name, value in {
        "EMBEDDING_PROVIDER": "openai",
        "EMBEDDING_MODEL": "m",
        "EMBEDDING_URL": "http://127.0.0.1:9/v1",
        "EMBEDDING_API_KEY_SECRET_ARN": secret["ARN"],
        "EMBED_QUEUE_URL": REFERENCES["EmbedQueue"],
    }.items():
        monkeypatch.setenv(f"AFTERWORD_{name}", value)
    services.cache_clear()
    read: list[str] = []
    clients().secrets_manager.meta.events.register(
        "after-call.secrets-manager.GetSecretValue", lambda **_: read.append("key")
    )
    content = add(tenant)
    embed(load_event, content)
    assert read == ["key"]
    services.cache_clear()
    use_model(saying("In five days."))
    queue(tenant, context=SEMANTIC)
    generated(message_event)
    assert read == ["key", "key"]


@pytest.mark.usefixtures("greedy_tenant")
def test_the_vector_index_may_be_used(  # noqa: PLR0913, PLR0917 - what it needs
    tenant: Tenant,
    message_event: Callable[[str], Event],
    load_event: Callable[[str], Event],
    use_model: UseModel,
    use_embeddings: UseEmbeddings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The embedder puts and deletes the index's vectors, and the worker asks for them."""
    monkeypatch.setenv("AFTERWORD_VECTOR_INDEX_ARN", INDEX)
    use_embeddings(FakeEmbeddings())
    client = clients().s3vectors
    put: list[dict[str, Any]] = []

    def keep(params: Any, **_: object) -> None:  # noqa: ANN401 - botocore's
        put.extend(params["vectors"])

    client.meta.events.register("before-parameter-build.s3vectors.PutVectors", keep)
    answering(client, "s3vectors.PutVectors", {})
    pages: list[list[dict[str, str]]] = [[], [{"key": "demo/c/0"}], []]

    def next_page(**_: object) -> object:
        return SimpleNamespace(status_code=200), {"vectors": pages.pop()}

    client.meta.events.register("before-call.s3vectors.GetVectors", next_page)  # type: ignore[arg-type] # it may answer
    answering(client, "s3vectors.DeleteVectors", {})
    content = add(tenant)
    assert embed(load_event, content) == {"batchItemFailures": []}
    (vector,) = put
    assert vector["metadata"]["tenant"] == tenant.id
    found = {"vectors": [{"key": "k", "distance": 0.1, "metadata": vector["metadata"]}]}
    answering(client, "s3vectors.QueryVectors", found)
    use_model(saying("In five days."))
    queue(tenant, context=SEMANTIC)
    generation = generated(message_event)
    assert generation.completion is not None
    assert [source.title for source in generation.completion.sources] == ["Page"]
    services().contents.remove(tenant.id, content.id)
    assert embed(load_event, content) == {"batchItemFailures": []}
    assert pages == []


@pytest.mark.usefixtures("aws")
def test_changes_of_contents_may_be_announced(
    contents: Contents, use_embeddings: UseEmbeddings
) -> None:
    """Functions that add, change or remove a content tell the embedder."""
    use_embeddings(FakeEmbeddings())
    added = contents.created(name="Page", text="Money.", folder="Help")
    assert count_messages(EMBED_QUEUE_NAME) == 1
    contents.update(added["id"], {"text": "Tea."})
    assert count_messages(EMBED_QUEUE_NAME) == 2
    contents.remove(added["id"])
    assert count_messages(EMBED_QUEUE_NAME) == 3
    other = contents.created(name="Other", text="Tea.", folder="Help")
    owner = Api(services().registry.create_key("demo", [Scope.ADMIN])[1])
    assert owner.call("delete_content", contentId=other["id"])["statusCode"] == 204
    assert count_messages(EMBED_QUEUE_NAME) == 5


@pytest.mark.usefixtures("aws")
def test_the_embedder_may_do_what_it_does(
    tenant: Tenant,
    load_event: Callable[[str], Event],
    use_embeddings: UseEmbeddings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The embedder uses all its permissions of tables, buckets and queues."""
    monkeypatch.setattr(vector_store, "INLINE_BYTES", 10)
    model = FakeEmbeddings()
    use_embeddings(model)
    content = add(tenant, LONG)
    assert embed(load_event, content) == {"batchItemFailures": []}  # a long text, large vectors
    event = load_event("embed")
    event["Records"][0]["body"] = json.dumps({"tenant": tenant.id, "id": content.id})
    assert invoke("embed", event, LambdaContext(milliseconds=1)) == {"batchItemFailures": []}
    answer = model.embed

    def remove_first(*arguments: Any) -> Any:  # noqa: ANN401 - as the model's
        services().contents.remove(tenant.id, other.id)
        return answer(*arguments)

    other = add(tenant, f"Other. {LONG}")
    monkeypatch.setattr(model, "embed", remove_first)
    event["Records"][0]["body"] = json.dumps({"tenant": tenant.id, "id": other.id})
    assert invoke("embed", event, LambdaContext()) == {"batchItemFailures": []}
    deployed = roles.deployed()
    own = {grant for grant in deployed.in_force("embed") if not is_lambdas_own(grant)}
    unused = {str(grant) for grant in own - deployed.used}
    assert {each for each in unused if "ListBucket" not in each and "Visib" not in each} == set()


@pytest.mark.usefixtures("aws")
def test_a_text_that_is_gone_is_told_from_one_that_may_not_be_read(
    tenant: Tenant, load_event: Callable[[str], Event], use_embeddings: UseEmbeddings
) -> None:
    """A content whose text is gone from storage is left without vectors, and not tried again."""
    use_embeddings(FakeEmbeddings())
    content = add(tenant, LONG)
    bucket = REFERENCES["ContentsBucket"]
    for found in clients().s3.list_objects_v2(Bucket=bucket)["Contents"]:
        clients().s3.delete_object(Bucket=bucket, Key=found["Key"])
    assert embed(load_event, content) == {"batchItemFailures": []}
    assert services().contents.get(tenant.id, content.id).embedded is None
