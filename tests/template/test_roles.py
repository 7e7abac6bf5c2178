"""The enforcement itself, on which the tests of privileges rest."""

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from typing import Any

import pytest
from botocore.exceptions import ClientError

from afterword.batches.files import BatchFiles
from afterword.errors import GoneError, UnavailableError
from afterword.runtime.clients import clients
from afterword.runtime.payloads import Payloads
from afterword.services import services
from tests.conftest import FLOW, Event, Tenant
from tests.harness import roles
from tests.harness.api import invoke
from tests.harness.deployment import REFERENCES
from tests.harness.roles import Grant, Need

BUCKET = "arn:aws:s3:::afterword-texts"
TABLES = "arn:aws:dynamodb:eu-west-1:123456789012:table"
BEDROCK = "arn:aws:bedrock:eu-west-1"
APPLICATION = f"{BEDROCK}:123456789012:application-inference-profile/a1b2"
GENERATIONS = {"TableName": "generations"}
TEXT = {"Bucket": "afterword-texts", "Key": "demo/1"}


@pytest.fixture
def withhold(aws: None) -> Iterator[Callable[[Grant], None]]:  # noqa: ARG001 - asked for its effect
    """Return a function that takes a grant of the template away for the rest of the test."""
    deployed = roles.deployed()

    def take(grant: Grant) -> None:
        assert grant in deployed.grants
        deployed.withheld = grant

    yield take
    deployed.withheld = None


@pytest.mark.parametrize(
    ("operation", "params", "expected"),
    [
        ("dynamodb.GetItem", GENERATIONS, [("dynamodb:GetItem", f"{TABLES}/generations")]),
        (
            "dynamodb.Query",
            {**GENERATIONS, "IndexName": "by_due"},
            [("dynamodb:Query", f"{TABLES}/generations/index/by_due")],
        ),
        (
            "dynamodb.BatchGetItem",
            {"RequestItems": {"a": {}, "b": {}}},
            [("dynamodb:BatchGetItem", f"{TABLES}/a"), ("dynamodb:BatchGetItem", f"{TABLES}/b")],
        ),
        (
            "dynamodb.TransactWriteItems",
            {
                "TransactItems": [
                    {"Put": {"TableName": "a"}},
                    {"ConditionCheck": {"TableName": "b"}},
                ]
            },
            [("dynamodb:PutItem", f"{TABLES}/a"), ("dynamodb:ConditionCheckItem", f"{TABLES}/b")],
        ),
        ("s3.GetObject", TEXT, [("s3:GetObject", f"{BUCKET}/demo/1")]),
        ("s3.HeadObject", TEXT, [("s3:GetObject", f"{BUCKET}/demo/1")]),
        (
            "s3.GetObject",
            {**TEXT, "VersionId": "1"},
            [("s3:GetObjectVersion", f"{BUCKET}/demo/1")],
        ),
        ("s3.ListObjectsV2", {"Bucket": "afterword-texts"}, [("s3:ListBucket", BUCKET)]),
        ("s3.UploadPart", TEXT, [("s3:PutObject", f"{BUCKET}/demo/1")]),
        (
            "s3.DeleteObjects",
            {"Bucket": "afterword-texts", "Delete": {"Objects": [{"Key": "a"}, {"Key": "b"}]}},
            [("s3:DeleteObject", f"{BUCKET}/a"), ("s3:DeleteObject", f"{BUCKET}/b")],
        ),
        (
            "sqs.SendMessage",
            {"QueueUrl": REFERENCES["Queue"]},
            [("sqs:SendMessage", "arn:aws:sqs:eu-west-1:123456789012:generate")],
        ),
        (
            "ssm.GetParameter",
            {"Name": "/afterword/webhooks/a"},
            [
                (
                    "ssm:GetParameter",
                    "arn:aws:ssm:eu-west-1:123456789012:parameter/afterword/webhooks/a",
                )
            ],
        ),
        (
            "bedrock-runtime.Converse",
            {"modelId": "eu.amazon.nova-lite-v1:0"},
            [
                (
                    "bedrock:InvokeModel",
                    f"{BEDROCK}:123456789012:inference-profile/eu.amazon.nova-lite-v1:0",
                ),
                ("bedrock:InvokeModel", f"{BEDROCK}::foundation-model/amazon.nova-lite-v1:0"),
            ],
        ),
        (
            "bedrock-runtime.Converse",
            {"modelId": APPLICATION},
            [
                ("bedrock:InvokeModel", APPLICATION),
                ("bedrock:InvokeModel", f"{BEDROCK}::foundation-model/of-the-profile"),
            ],
        ),
    ],
)
def test_a_call_needs_what_iam_asks_for(
    operation: str, params: Mapping[str, Any], expected: list[tuple[str, str]]
) -> None:
    """Each call is taken apart as AWS's Service Authorization Reference says."""
    assert roles.needs(operation, params) == [Need(action, arn) for action, arn in expected]


@pytest.mark.parametrize(
    "operation", ["dynamodb.ExecuteStatement", "s3.CopyObject", "sqs.ListQueues", "kms.Decrypt"]
)
def test_an_unknown_call_fails_the_test(operation: str) -> None:
    """An operation whose needs are unknown is not let through."""
    with pytest.raises(pytest.fail.Exception, match=f"does not know what {operation} needs"):
        roles.needs(operation, {"QueueUrl": "a"})


def test_a_handler_is_denied_what_its_role_lacks(
    tenant: Tenant, load_event: Callable[[str], Event], withhold: Callable[[Grant], None]
) -> None:
    """A handler without an action gets AWS's denial, and the test's own calls do not."""
    event = load_event("get_flow")
    event["headers"]["authorization"] = f"Bearer {tenant.key}"
    assert invoke("get_flow", event)["statusCode"] == 200
    withhold(Grant("get_flow", "dynamodb:GetItem", "${RegistryTable.Arn}"))
    assert invoke("get_flow", event)["statusCode"] == 503
    assert services().registry.get_flow(tenant.id, FLOW)


def test_a_shared_policy_is_each_functions_own(
    tenant: Tenant, load_event: Callable[[str], Event], withhold: Callable[[Grant], None]
) -> None:
    """An action taken from one function stays with the others that have the same policy."""
    withhold(Grant("get_flow", "dynamodb:GetItem", "${RegistryTable.Arn}"))
    status = {}
    for name in ("get_flow", "get_generation"):
        event = load_event(name)
        event["headers"]["authorization"] = f"Bearer {tenant.key}"
        status[name] = invoke(name, event)["statusCode"]
    assert status == {"get_flow": 503, "get_generation": 404}


def test_a_policy_that_is_attached_for_nothing_is_seen(template: Mapping[str, Any]) -> None:
    """Each action of an attached policy is a grant of the function, which the walk takes away."""
    wider = deepcopy(dict(template))
    role = wider["Resources"]["GetFlowRole"]["Properties"]
    role["ManagedPolicyArns"].append({"Ref": "EndGenerations"})
    added = set(roles.Roles(wider).grants) - set(roles.deployed().grants)
    assert added == {
        Grant("get_flow", "dynamodb:UpdateItem", "${GenerationsTable.Arn}"),
        Grant("get_flow", "sqs:SendMessage", "${NotifyQueue.Arn}"),
    }


def test_a_handler_is_denied_in_its_threads(
    load_event: Callable[[str], Event], withhold: Callable[[Grant], None]
) -> None:
    """A handler acts in its role in the threads that it starts, too."""
    event = load_event("send_webhook")
    invoke("send_webhook", event)
    withhold(Grant("send_webhook", "dynamodb:BatchGetItem", "${WebhooksTable.Arn}"))
    (failure,) = invoke("send_webhook", event)["batchItemFailures"]
    assert failure == {"itemIdentifier": event["Records"][0]["messageId"]}


def test_an_action_on_another_resource_does_not_count(
    load_event: Callable[[str], Event], withhold: Callable[[Grant], None]
) -> None:
    """A right to query one index is none to query another."""
    withhold(Grant("sweep", "dynamodb:Query", "${GenerationsTable.Arn}/index/by_due"))
    with pytest.raises(ClientError, match="by_due") as denied:
        invoke("sweep", load_event("sweep"))
    assert denied.value.response["Error"]["Code"] == "AccessDeniedException"


@pytest.mark.usefixtures("aws")
def test_an_object_that_is_not_there_is_denied(withhold: Callable[[Grant], None]) -> None:
    """Without a right to list the bucket, S3 does not say that an object is missing."""
    read = roles.perform("get_mail_generation", Payloads.get)
    payloads = Payloads(lambda: clients().s3, REFERENCES["Bucket"])
    with pytest.raises(GoneError):
        read(payloads, "demo/1")
    withhold(Grant("get_mail_generation", "s3:ListBucket", "${Bucket.Arn}"))
    with pytest.raises(ClientError) as denied:
        read(payloads, "demo/1")
    assert denied.value.response["Error"]["Code"] == "AccessDenied"


@pytest.mark.usefixtures("aws")
def test_denied_deletions_are_in_a_good_answer(withhold: Callable[[Grant], None]) -> None:
    """S3 answers 200 to the deletion of many objects, and says of each that it was denied."""
    delete = roles.perform("delete_generation", Payloads.delete)
    delete(Payloads(lambda: clients().s3, REFERENCES["Bucket"]), ["demo/1"])
    withhold(Grant("delete_generation", "s3:DeleteObject", "${Bucket.Arn}/*"))
    with pytest.raises(UnavailableError):
        delete(Payloads(lambda: clients().s3, REFERENCES["Bucket"]), ["demo/1"])


@pytest.mark.usefixtures("aws")
def test_a_url_that_may_do_nothing_fails_the_test() -> None:
    """The signer of a URL must be allowed the action of the URL."""
    sign = roles.perform("get_batch", BatchFiles.download_url)
    assert sign(services().batch_files, "results/demo/1.jsonl")
    with pytest.raises(pytest.fail.Exception, match="get_batch signs a URL for s3:GetObject"):
        sign(services().batch_files, "uploads/demo/1.jsonl")


@pytest.mark.parametrize(
    ("function", "leading", "allowed"),
    [
        ("generate", "tenant#demo", True),
        ("generate", "key#abc", False),
        ("intake", "tenant#demo", True),
        ("intake", "key#abc", False),
        ("deliver", "key#abc", False),
        ("create_content", "key#abc", True),
        ("create_content", "tenant#demo", False),
        ("update_content", "tenant#demo", False),
        ("get_flow", "tenant#demo", True),
        ("get_flow", "key#abc", True),
    ],
)
def test_functions_that_parse_documents_read_one_kind_of_item(
    function: str,
    leading: str,
    allowed: bool,  # noqa: FBT001 - a column
) -> None:
    """The worker reads no keys, and the functions that take contents read nothing but keys."""
    key = {"pk": {"S": leading}, "sk": {"S": "key"}}
    table = REFERENCES["RegistryTable"]
    (need,) = roles.needs("dynamodb.GetItem", {"TableName": table, "Key": key})
    assert roles.deployed().allows(function, need) is allowed
