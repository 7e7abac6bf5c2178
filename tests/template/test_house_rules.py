"""House rules, which hold for all of the template, now and later."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import pytest

from tests.harness.deployment import REFERENCES, Deployment, Function, as_list, parsed_template

TEMPLATE: Final = parsed_template()
ALL_ON: Final = {
    "ModelProvider": "bedrock",
    "KnowledgeBaseId": "ABCDEF0123",
    "EmbeddingProvider": "bedrock",
    "EmbeddingModel": "amazon.titan-embed-text-v2:0",
    "EmbeddingApiKeySecretArn": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:key",
    "VectorIndexArn": "arn:aws:s3vectors:eu-west-1:123456789012:bucket/vectors/index/passages",
    "EventBusName": "company",
    "IntakeBusName": "orders",
    "Tracing": "Active",
    "AlarmEmail": "owner@example.com",
    "Deployment": "Canary10Percent5Minutes",
    "ProvisionedConcurrency": "2",
    "WorkerConcurrency": "20",
    "ApiConcurrency": "20",
    "AllowedOrigins": "https://app.example.com",
}
"""Parameters with which every resource and every statement of the template is deployed."""

SHARES_ITS_RESOURCE: Final = {
    "xray:PutTraceSegments": "X-Ray knows no resource for it",
    "xray:PutTelemetryRecords": "X-Ray knows no resource for it",
    "kms:*": "the account's own right in the policy of a key, where * is that key",
    "kms:Decrypt": "in the policy of a key * is that key",
    "kms:GenerateDataKey*": "in the policy of a key * is that key",
    "s3:*": "a Deny",
}
"""Actions that may stand with a `*`, in themselves or as their resource, each with its reason."""
OPEN_ENDED: Final = {
    r"arn:\$\{AWS::Partition\}:bedrock:\*:.*/\$\{ModelId\}": "a profile chooses among regions",
    r"arn:\$\{AWS::Partition\}:bedrock:\*:.*/\$\{EmbeddingModel\}": "the same",
    r"arn:\$\{AWS::Partition\}:bedrock:\*::foundation-model/\*": "models behind one profile",
    r"\$\{\w+\.Arn\}/(\w+/)?\*": "objects of one bucket",
    r"\$\{\w+\.Arn\}/\*/passages\.vectors": "the vectors of contents",
    r"arn:.*:parameter/afterword/\$\{WebhooksTable\}/\*": "secrets of this stack's webhooks",
    r"arn:.*:function:\$\{AWS::StackName\}-\*": "functions of this stack",
    r"arn:.*:alarm:\*": "CodeDeploy looks at all alarms of a group at once",
}
"""Resources that end in `*`, as patterns, each with its reason."""
KEPT_BY_THEIR_OWNER: Final = {
    "RegistryTable": "tenants, keys and flows are there until somebody removes them",
    "QuotasTable": "one item for each tenant with limits",
    "ContentsTable": "documents are there until somebody removes them",
    "ContentsBucket": "documents are there until somebody removes them",
    "WebhooksTable": "deliveries expire, endpoints do not",
}
"""Storage in which not everything ends by itself, with the reason."""

type Statement = Mapping[str, Any]


@pytest.fixture(scope="module")
def everything() -> Deployment:
    """Return the template with all that can be switched on."""
    return Deployment(TEMPLATE, ALL_ON)


def functions() -> Sequence[Function]:
    return list(Deployment(TEMPLATE, ALL_ON).functions.values())


def statements(deployment: Deployment) -> Iterator[tuple[str, Statement]]:
    """Yield every statement of every policy, with the name of its resource."""
    for kind in {resource["Type"] for resource in TEMPLATE["Resources"].values()}:
        for name, resource in deployment.resources(kind).items():
            yield from ((name, statement) for statement in _statements(resource["Properties"]))


def _statements(node: Any) -> Iterator[Statement]:  # noqa: ANN401 - any node of a YAML document
    match node:
        case {"Effect": _}:
            yield node
        case dict():
            for child in node.values():
                yield from _statements(child)
        case list():
            for child in node:
                yield from _statements(child)


@pytest.mark.parametrize("function", functions(), ids=lambda function: function.folder)
def test_a_function_has_its_bounds(everything: Deployment, function: Function) -> None:
    """Each function says how long, with how much memory and into which log group it runs."""
    properties = function.properties
    assert 1 <= properties["Timeout"] <= 900
    assert 128 <= properties["MemorySize"] <= 3008
    groups = everything.resources("AWS::Logs::LogGroup")
    assert properties["LoggingConfig"]["LogGroup"] in groups
    assert properties["Description"]


def test_a_function_that_sums_up_hours_has_a_whole_vcpu(everything: Deployment) -> None:
    """The count and the report read every end of an hour on one thread."""
    for name in ("count_usage", "get_usage"):
        assert everything.functions[name].properties["MemorySize"] == 1_769


@pytest.mark.parametrize("function", functions(), ids=lambda function: function.folder)
def test_a_consumer_of_a_queue_loses_nothing(everything: Deployment, function: Function) -> None:
    """A queue's consumer reports partial failures; its queue has six timeouts and dead letters."""
    queues = everything.resources("AWS::SQS::Queue")
    letters = {
        properties["RedrivePolicy"]["deadLetterTargetArn"].removesuffix(".Arn")
        for queue in queues.values()
        if "RedrivePolicy" in (properties := queue["Properties"])
    }
    for source in function.queues:
        name = source["Queue"].removesuffix(".Arn")
        assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        properties = queues[name]["Properties"]
        assert properties["VisibilityTimeout"] >= 6 * function.properties["Timeout"]
        # A queue without a dead-letter queue is one.
        assert "RedrivePolicy" in properties or name in letters


def test_no_statement_has_a_star_without_its_reason(everything: Deployment) -> None:
    """Actions are named, resources are ARNs; an exception stands in a list with its reason."""
    found = list(statements(everything))
    assert len(found) > 140
    for name, statement in found:
        if statement["Effect"] == "Deny":
            continue
        for action in as_list(statement["Action"]):
            assert "*" not in action or action in SHARES_ITS_RESOURCE, f"{name}: {action}"
            for resource in as_list(statement.get("Resource", "the role itself")):
                if resource == "*":
                    assert action in SHARES_ITS_RESOURCE, f"{name}: {action} on *"
                elif "*" in resource:
                    assert any(re.fullmatch(each, resource) for each in OPEN_ENDED), (
                        f"{name}: {action} on {resource}"
                    )


def test_no_reason_is_left_over(everything: Deployment) -> None:
    """Every exception that is listed is still needed."""
    actions = {
        action for _, statement in statements(everything) for action in as_list(statement["Action"])
    }
    assert actions >= SHARES_ITS_RESOURCE.keys()
    resources = {
        resource
        for _, statement in statements(everything)
        for resource in as_list(statement.get("Resource", []))
    }
    for pattern in OPEN_ENDED:
        assert any(re.fullmatch(pattern, resource) for resource in resources), pattern
    assert TEMPLATE["Resources"].keys() >= KEPT_BY_THEIR_OWNER.keys()


def test_what_is_stored_or_sent_is_encrypted(everything: Deployment) -> None:
    """Every table, queue, bucket and topic is encrypted."""
    for table in everything.resources("AWS::DynamoDB::Table").values():
        assert table["Properties"]["SSESpecification"]["SSEEnabled"] is True
    for queue in everything.resources("AWS::SQS::Queue").values():
        assert queue["Properties"]["SqsManagedSseEnabled"] is True
    for bucket in everything.resources("AWS::S3::Bucket").values():
        assert bucket["Properties"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    keys = everything.resources("AWS::KMS::Key")
    topics = everything.resources("AWS::SNS::Topic")
    assert topics
    for topic in topics.values():
        assert keys[topic["Properties"]["KmsMasterKeyId"]]["Properties"]["EnableKeyRotation"]


def test_every_bucket_is_closed(everything: Deployment) -> None:
    """No bucket can be public, has other owners' objects, or answers plain HTTP."""
    policies = {
        policy["Properties"]["Bucket"]: policy["Properties"]["PolicyDocument"]["Statement"]
        for policy in everything.resources("AWS::S3::BucketPolicy").values()
    }
    for name, bucket in everything.resources("AWS::S3::Bucket").items():
        properties = bucket["Properties"]
        block = properties["PublicAccessBlockConfiguration"]
        assert len(block) == 4
        assert set(block.values()) == {True}
        (rule,) = properties["OwnershipControls"]["Rules"]
        assert rule == {"ObjectOwnership": "BucketOwnerEnforced"}
        (statement,) = (each for each in policies[REFERENCES[name]] if each["Effect"] == "Deny")
        assert (statement["Principal"], statement["Action"]) == ("*", "s3:*")
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert statement["Resource"] == [f"{name}.Arn", f"${{{name}.Arn}}/*"]


def test_every_table_can_be_restored(everything: Deployment) -> None:
    """Tables have point-in-time recovery, cannot be deleted unasked, and outlive the stack."""
    for table in everything.resources("AWS::DynamoDB::Table").values():
        assert table["Properties"]["DeletionProtectionEnabled"] is True
        recovery = table["Properties"]["PointInTimeRecoverySpecification"]
        assert recovery["PointInTimeRecoveryEnabled"] is True
    for kind in ("AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::Logs::LogGroup"):
        for resource in everything.resources(kind).values():
            assert resource["UpdateReplacePolicy"] == "Retain"
            # But a first deployment that fails leaves nothing behind.
            assert resource["DeletionPolicy"] == "RetainExceptOnCreate"


def test_everything_ends(everything: Deployment) -> None:
    """Logs, messages, items and objects have a retention, but what its owner keeps."""
    for group in everything.resources("AWS::Logs::LogGroup").values():
        assert group["Properties"]["RetentionInDays"]
    for queue in everything.resources("AWS::SQS::Queue").values():
        assert 60 <= queue["Properties"]["MessageRetentionPeriod"] <= 1_209_600
    for name, table in everything.resources("AWS::DynamoDB::Table").items():
        expires = table["Properties"].get("TimeToLiveSpecification", {}).get("Enabled")
        assert expires or name in KEPT_BY_THEIR_OWNER
    for name, bucket in everything.resources("AWS::S3::Bucket").items():
        rules = bucket["Properties"]["LifecycleConfiguration"]["Rules"]
        assert any("AbortIncompleteMultipartUpload" in rule for rule in rules)
        assert any("ExpirationInDays" in rule for rule in rules) or name in KEPT_BY_THEIR_OWNER


def test_no_variable_is_a_secret(template: Mapping[str, Any]) -> None:
    """Variables are names, addresses and numbers; a secret is read where it is kept."""
    for parameter in template["Parameters"].values():
        assert not parameter.get("NoEcho")
    text = json.dumps(template["Globals"]) + json.dumps(template["Resources"])
    assert "{{resolve:" not in text
    for function in functions():
        for name, value in function.environment.items():
            if re.search(r"KEY|SECRET|TOKEN|PASSWORD", name):
                assert re.fullmatch(r".*_(ARN|ID)", name), f"{name}: {value}"
