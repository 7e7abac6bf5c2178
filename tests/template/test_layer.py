"""The core layer's build: the files in it are those that the code uses."""

import ast
import importlib.util
import io
import json
import shutil
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.loaders import Loader
from moto import mock_aws

from slim_layer import AMAZON_ROOTS, SERVICES, pick_amazon_roots, slim_botocore_data
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def slim_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return botocore's data as the layer has them."""
    spec = importlib.util.find_spec("botocore")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    installed = Path(spec.submodule_search_locations[0]) / "data"
    data = tmp_path_factory.mktemp("botocore") / "data"
    data.mkdir()
    for path in installed.iterdir():
        if path.is_file():
            shutil.copy(path, data)
        elif path.name in SERVICES:
            shutil.copytree(path, data / path.name)
    slim_botocore_data(data)
    return data


@pytest.fixture
def session(slim_data: Path, environment: None) -> botocore.session.Session:  # noqa: ARG001 - a fixture
    """Return a botocore session that has nothing but the layer's data."""
    session = botocore.session.Session()
    loader = Loader(extra_search_paths=[str(slim_data)], include_default_search_paths=False)
    session.register_component("data_loader", loader)
    return session


def test_the_layer_keeps_the_model_of_every_service_that_has_a_client() -> None:
    """A client whose model is not in the layer would fail in Lambda, and only there."""
    clients = ROOT / "layers/core/afterword/runtime/clients.py"
    calls = [
        node
        for node in ast.walk(ast.parse(clients.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "_create"
    ]
    assert sorted(ast.literal_eval(call.args[0]) for call in calls) == sorted(SERVICES)


def test_storage_works_with_the_layers_data(session: botocore.session.Session) -> None:
    """Every call that the functions make to storage goes through with what the layer keeps."""
    with mock_aws():
        dynamodb: Any = session.create_client("dynamodb")
        keys = {"pk": {"S": "a"}}
        dynamodb.create_table(
            TableName="t",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        )
        dynamodb.put_item(TableName="t", Item=keys)
        update = {"UpdateExpression": "SET x = :x", "ExpressionAttributeValues": {":x": {"N": "1"}}}
        dynamodb.update_item(TableName="t", Key=keys, **update)
        item = dynamodb.get_item(TableName="t", Key=keys, ConsistentRead=True)["Item"]
        assert item == {"pk": {"S": "a"}, "x": {"N": "1"}}

        sqs: Any = session.create_client("sqs")
        url = sqs.create_queue(QueueName="q")["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody="message")
        message = sqs.receive_message(QueueUrl=url)["Messages"][0]
        receipt = message["ReceiptHandle"]
        sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=receipt, VisibilityTimeout=1)
        assert message["Body"] == "message"

        s3: Any = session.create_client("s3")
        where = {"LocationConstraint": "eu-west-1"}
        s3.create_bucket(Bucket="bucket", CreateBucketConfiguration=where)
        s3.put_object(Bucket="bucket", Key="k", Body=b"text")
        assert s3.get_object(Bucket="bucket", Key="k")["Body"].read() == b"text"

        secrets: Any = session.create_client("secretsmanager")
        secrets.create_secret(Name="s", SecretString="key")
        assert secrets.get_secret_value(SecretId="s")["SecretString"] == "key"


def answering(body: object, path: str) -> Callable[..., AWSResponse]:
    """Return a handler that answers a request for this path instead of AWS."""

    def respond(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        assert request.url.endswith(path)
        raw = io.BytesIO(json.dumps(body).encode())
        raw.stream = lambda *_args, **_more: iter([raw.read()])  # type: ignore[attr-defined]
        return AWSResponse(
            request.url, 200, HTTPHeaders.from_dict({"content-type": "application/json"}), raw
        )

    return respond


def test_bedrock_works_with_the_layers_data(session: botocore.session.Session) -> None:
    """A Converse call is built and its answer read with what the layer keeps."""
    answer = {
        "output": {"message": {"role": "assistant", "content": [{"text": "Hello"}]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2},
        "metrics": {"latencyMs": 1},
    }
    bedrock: Any = session.create_client("bedrock-runtime")
    respond = answering(answer, "/model/a-model/converse")
    bedrock.meta.events.register("before-send.bedrock-runtime.Converse", respond)
    messages = [{"role": "user", "content": [{"text": "Hi"}]}]
    response = bedrock.converse(modelId="a-model", messages=messages)
    assert response["output"]["message"]["content"] == [{"text": "Hello"}]


def test_knowledge_bases_work_with_the_layers_data(session: botocore.session.Session) -> None:
    """A Retrieve call is built and its answer read with what the layer keeps."""
    result = {"content": {"text": "Within 30 days."}, "metadata": {"tenant": "demo", "tags": ["a"]}}
    respond = answering({"retrievalResults": [result]}, "/knowledgebases/ABCDEF0123/retrieve")
    knowledge: Any = session.create_client("bedrock-agent-runtime")
    knowledge.meta.events.register("before-send.bedrock-agent-runtime.Retrieve", respond)
    response = knowledge.retrieve(
        knowledgeBaseId="ABCDEF0123",
        retrievalQuery={"text": "Refunds?"},
        retrievalConfiguration={
            "vectorSearchConfiguration": {"filter": {"equals": {"key": "tenant", "value": "demo"}}}
        },
    )
    assert response["retrievalResults"] == [result]


def botocore_bundle() -> str:
    """Return the roots that botocore brings, as PEM."""
    spec = importlib.util.find_spec("botocore")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).with_name("cacert.pem").read_text("utf-8")


def test_the_layers_roots_are_amazons_five() -> None:
    """An SSL context takes the layer's bundle, and finds Amazon's roots in it and no other."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=pick_amazon_roots(botocore_bundle()))
    subjects: list[Any] = [each["subject"] for each in context.get_ca_certs()]
    names = {value for subject in subjects for ((name, value),) in subject if name == "commonName"}
    assert names == AMAZON_ROOTS.keys()


def test_a_bundle_without_a_root_of_amazons_stops_the_build() -> None:
    """A root that a new botocore lacks is looked at by a person, before AWS refuses to be known."""
    bundle = pick_amazon_roots(botocore_bundle())
    with pytest.raises(SystemExit, match="no Amazon Root CA 1: see"):
        pick_amazon_roots(bundle[bundle.index("-----END") :])
