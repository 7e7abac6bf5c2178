"""The template: what belongs together fits together, and nobody may do more than needed."""

import json
import random
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from afterword import clients, worker
from afterword.generations import MAX_DEADLINE
from tests.conftest import ROOT
from tests.deployment import REFERENCES, Deployment, as_list
from tests.seeds import SEEDS, seeded

GENERATIONS, REGISTRY, USAGE = "GenerationsTable.Arn", "RegistryTable.Arn", "UsageTable.Arn"
SETTLES = {USAGE: {"dynamodb:UpdateItem"}, "NotifyQueue.Arn": {"sqs:SendMessage"}}
"""What everything that ends generations may do then."""
BY_FLOW = "${GenerationsTable.Arn}/index/by_flow"
BY_CONVERSATION = "${GenerationsTable.Arn}/index/by_conversation"
CONVERSATIONS = "${GenerationsTable.Arn}/index/by_conversation"
DUE = "${GenerationsTable.Arn}/index/by_due"
TEXTS = "${Bucket.Arn}/*"
CONTENTS, CONTENT_TEXTS = "ContentsTable.Arn", "${ContentsBucket.Arn}/*"
BUS = "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/default"
BEDROCK = "arn:${AWS::Partition}:bedrock:*"
SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:model-key"  # noqa: S105 - a name
CONSUMES = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
WORKER = {
    **SETTLES,
    GENERATIONS: {"dynamodb:UpdateItem", "dynamodb:BatchGetItem"},
    CONVERSATIONS: {"dynamodb:Query"},
    REGISTRY: {"dynamodb:GetItem"},
    TEXTS: {"s3:GetObject", "s3:PutObject"},
    CONTENTS: {"dynamodb:BatchGetItem", "dynamodb:Query"},
    CONTENT_TEXTS: {"s3:GetObject"},
    "Queue.Arn": {*CONSUMES, "sqs:ChangeMessageVisibility"},
}
SUBMITS = {
    **SETTLES,
    REGISTRY: {"dynamodb:GetItem"},
    GENERATIONS: {
        "dynamodb:PutItem",
        "dynamodb:GetItem",
        "dynamodb:BatchGetItem",
        "dynamodb:UpdateItem",
    },
    TEXTS: {"s3:PutObject"},
    "Queue.Arn": {"sqs:SendMessage"},
}
READS = {
    REGISTRY: {"dynamodb:GetItem"},
    GENERATIONS: {"dynamodb:GetItem"},
    TEXTS: {"s3:GetObject"},
}
LISTS = {
    REGISTRY: {"dynamodb:GetItem"},
    BY_FLOW: {"dynamodb:Query"},
    GENERATIONS: {"dynamodb:BatchGetItem"},
    TEXTS: {"s3:GetObject"},
}
PERMISSIONS = {
    "health": {},
    "submit_mail_generation": SUBMITS,
    "get_mail_generation": READS,
    "get_stack_app": LISTS,
    "list_text_generations": LISTS,
    "create_text_generation": {
        **SUBMITS,
        TEXTS: {"s3:GetObject", "s3:PutObject"},
    },
    "get_text_generation": READS,
    "update_text_generation": READS | {GENERATIONS: {"dynamodb:GetItem", "dynamodb:UpdateItem"}},
    "generate_flow": {
        **SUBMITS,
        CONTENTS: {"dynamodb:BatchGetItem"},
        TEXTS: {"s3:GetObject", "s3:PutObject"},
    },
    "get_flow_log": READS,
    "rate_flow_log": READS | {GENERATIONS: {"dynamodb:UpdateItem"}},
    "create_content": {
        REGISTRY: {"dynamodb:GetItem"},
        CONTENTS: {"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:Query"},
        CONTENT_TEXTS: {"s3:PutObject", "s3:DeleteObject"},
    },
    "update_content": {
        REGISTRY: {"dynamodb:GetItem"},
        CONTENTS: {
            "dynamodb:BatchGetItem",
            "dynamodb:PutItem",
            "dynamodb:UpdateItem",
            "dynamodb:DeleteItem",
            "dynamodb:Query",
        },
        CONTENT_TEXTS: {"s3:PutObject", "s3:DeleteObject"},
    },
    "list_folders": {REGISTRY: {"dynamodb:GetItem"}, CONTENTS: {"dynamodb:Query"}},
    "list_folder_contents": {
        REGISTRY: {"dynamodb:GetItem"},
        CONTENTS: {"dynamodb:BatchGetItem", "dynamodb:Query"},
    },
    "submit_query": SUBMITS | {REGISTRY: {"dynamodb:GetItem", "dynamodb:Query"}},
    "get_answer": READS
    | {
        BY_CONVERSATION: {"dynamodb:Query"},
        GENERATIONS: {"dynamodb:GetItem", "dynamodb:BatchGetItem"},
    },
    "generate": WORKER,
    "dead_letter": {
        **SETTLES,
        GENERATIONS: {"dynamodb:UpdateItem"},
        "DeadLetterQueue.Arn": CONSUMES,
    },
    "deliver": {
        GENERATIONS: {"dynamodb:GetItem", "dynamodb:UpdateItem"},
        BUS: {"events:PutEvents"},
        "NotifyQueue.Arn": CONSUMES,
    },
    "sweep": {
        **SETTLES,
        GENERATIONS: {"dynamodb:GetItem", "dynamodb:UpdateItem"},
        DUE: {"dynamodb:Query"},
        "Queue.Arn": {"sqs:SendMessage"},
    },
}
"""What each function may do, with a model at an OpenAI-compatible endpoint without a key."""

BOTH_PROVIDERS = (
    {"ModelProvider": "bedrock", "KnowledgeBaseId": "ABCDEF0123"},
    {"ModelProvider": "openai", "ModelApiKeySecretArn": SECRET},
)
FUNCTIONS = tuple(PERMISSIONS)
API_SECONDS = 30
"""The longest that an HTTP API waits for a function."""


def settings_that_are_read() -> set[str]:
    """Return the environment variables that settings.py reads."""
    source = (ROOT / "layers/core/afterword/settings.py").read_text()
    return set(re.findall(r'"(AFTERWORD_[A-Z_]+)"', source))


def set_variables(deployment: Deployment, folder: str) -> set[str]:
    """Return the variables of ours that a function has."""
    environment = deployment.functions[folder].environment
    return {name for name in environment if name.startswith("AFTERWORD_")}


def test_the_template_has_exactly_the_functions_that_there_are(deployment: Deployment) -> None:
    """Each folder of functions/ is one function of the template with one file, and back."""
    folders = {path.name for path in (ROOT / "functions").iterdir() if path.name[0] not in "_."}
    assert set(deployment.functions) == folders == set(FUNCTIONS)
    for folder, function in deployment.functions.items():
        assert function.properties["CodeUri"] == f"functions/{folder}/"
        assert function.properties["Handler"] == "app.handler"
        files = {path.name for path in (ROOT / "functions" / folder).iterdir()}
        assert files - {"__pycache__"} == {"app.py"}


@pytest.mark.parametrize("folder", FUNCTIONS)
def test_every_function_has_an_event_and_a_test(folder: str) -> None:
    """No function is without its sample event and its functional tests."""
    assert json.loads((ROOT / "events" / f"{folder}.json").read_text())
    assert (ROOT / "tests" / "functional" / f"test_{folder}.py").exists()


@pytest.mark.parametrize("folder", FUNCTIONS)
def test_an_event_comes_from_its_functions_source(deployment: Deployment, folder: str) -> None:
    """The sample of an HTTP event has the template's route; the others come from their service."""
    function = deployment.functions[folder]
    event = json.loads((ROOT / "events" / f"{folder}.json").read_text())
    if function.queues:
        assert {record["eventSource"] for record in event["Records"]} == {"aws:sqs"}
        return
    if function.schedules:
        assert event["source"] == "aws.events"
        return
    (route,) = function.routes
    method, path = route.split(" ")
    assert event["routeKey"] == event["requestContext"]["routeKey"] == route
    assert event["requestContext"]["http"]["method"] == method
    parameters = event.get("pathParameters", {})
    assert event["rawPath"] == path.format_map(parameters)
    assert event["requestContext"]["http"]["path"] == event["rawPath"]
    assert set(parameters) == set(re.findall(r"{(\w+)}", path))


def test_the_routes_are_the_documented_ones(deployment: Deployment) -> None:
    """The API has these routes, each with a function of its own, and no other."""
    routes = {
        route: folder
        for folder, function in deployment.functions.items()
        for route in function.routes
    }
    generation = "/api/companies/{companyCuid}/orchestrators/{orchestratorCuid}/generation-async"
    assert routes == {
        "GET /health": "health",
        f"POST {generation}": "submit_mail_generation",
        f"GET {generation}/{{processCuid}}": "get_mail_generation",
        "POST /v1/flows/{flowId}/generate": "generate_flow",
        "GET /v1/logs/{logId}": "get_flow_log",
        "POST /v1/logs/{logId}/rate": "rate_flow_log",
        "POST /v1/content": "create_content",
        "POST /v1/content/{contentId}": "update_content",
        "GET /v1/content/folders": "list_folders",
        "GET /v1/content/folders/{folderId}/contents": "list_folder_contents",
        "POST /api/v1/ai/async/query": "submit_query",
        "GET /api/v1/ai/async/answer": "get_answer",
        "GET /api/v1/apps": "get_stack_app",
        "GET /api/v1/generations": "list_text_generations",
        "POST /api/v1/generations": "create_text_generation",
        "GET /api/v1/generations/{text_gen_id}": "get_text_generation",
        "PATCH /api/v1/generations/{text_gen_id}": "update_text_generation",
    }
    (api,) = deployment.resources("AWS::Serverless::HttpApi").values()
    assert api["Properties"]["StageName"] == "$default"


@pytest.mark.parametrize("folder", FUNCTIONS)
def test_a_function_may_do_what_it_does_and_no_more(deployment: Deployment, folder: str) -> None:
    """Each function's actions are exactly the listed ones, each on its own resource."""
    assert deployment.functions[folder].permissions == PERMISSIONS[folder]


def test_the_worker_may_call_the_model_it_has(template: Mapping[str, Any]) -> None:
    """With Bedrock the worker may invoke models, with a key it may read it, and not both.

    It may ask the knowledge base that it is given, and no other.
    """
    bedrock, openai = (Deployment(template, values) for values in BOTH_PROVIDERS)
    assert bedrock.functions["generate"].permissions == WORKER | {
        f"{BEDROCK}::foundation-model/*": {"bedrock:InvokeModel"},
        f"{BEDROCK}:${{AWS::AccountId}}:inference-profile/*": {"bedrock:InvokeModel"},
        f"{BEDROCK}:${{AWS::AccountId}}:application-inference-profile/*": {"bedrock:InvokeModel"},
        "arn:${AWS::Partition}:bedrock:${AWS::Region}:${AWS::AccountId}:knowledge-base/"
        "${KnowledgeBaseId}": {"bedrock:Retrieve"},
    }
    assert openai.functions["generate"].permissions == WORKER | {
        SECRET: {"secretsmanager:GetSecretValue"}
    }


@pytest.mark.parametrize("parameters", BOTH_PROVIDERS)
def test_no_statement_is_for_everything(
    template: Mapping[str, Any], parameters: Mapping[str, str]
) -> None:
    """Actions are named one by one, no resource is `*`, and nothing comes from SAM or AWS."""
    for function in Deployment(template, parameters).functions.values():
        assert "Policies" not in function.properties
        assert function.role["ManagedPolicyArns"] == ["WriteLogs"]
        for statement in function.statements:
            assert statement.keys() == {"Effect", "Action", "Resource"}
            assert statement["Effect"] == "Allow"
            for action in as_list(statement["Action"]):
                assert re.fullmatch(r"[a-z0-9]+:[A-Z][A-Za-z]+", action), action
            for resource in as_list(statement["Resource"]):
                assert resource.split(":")[-1] != "*", resource


def test_a_function_may_write_its_log(deployment: Deployment) -> None:
    """The one policy that all functions share lets them write to their log group and no other."""
    (policy,) = deployment.resources("AWS::IAM::ManagedPolicy").values()
    assert policy["Properties"]["PolicyDocument"]["Statement"] == [
        {
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": "LogGroup.Arn",
        }
    ]


def test_a_role_is_lambdas_alone(deployment: Deployment) -> None:
    """Nobody but Lambda takes a function's role."""
    for function in deployment.functions.values():
        assert function.role["AssumeRolePolicyDocument"]["Statement"] == [
            {
                "Effect": "Allow",
                "Principal": {"Service": "lambda.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ]


def test_every_setting_is_set_by_a_function_that_has_it(deployment: Deployment) -> None:
    """The template sets the variables that settings.py reads, and no other of that name."""
    variables = set[str]().union(*(set_variables(deployment, folder) for folder in FUNCTIONS))
    assert variables == settings_that_are_read()


def test_every_setting_is_a_resource_or_a_parameter(template: Mapping[str, Any]) -> None:
    """No function has a fixed value where a resource or a parameter should stand."""
    known = template["Resources"].keys() | template["Parameters"].keys()
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            variables = resource["Properties"].get("Environment", {}).get("Variables", {})
            for name, value in variables.items():
                assert value.keys() == {"Ref"}, name
                assert value["Ref"] in known, name


@pytest.mark.parametrize("folder", ["generate", "dead_letter", "deliver"])
def test_a_queue_is_consumed_with_care(deployment: Deployment, folder: str) -> None:
    """A consumer reports partial failures, and a message stays hidden for 6 of its timeouts."""
    function = deployment.functions[folder]
    (source,) = function.queues
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert source["BatchSize"] == clients.POOL_SIZE == 10
    queue = deployment.resources("AWS::SQS::Queue")[source["Queue"].removesuffix(".Arn")]
    assert queue["Properties"]["VisibilityTimeout"] >= 6 * function.properties["Timeout"]


def test_every_queue_is_consumed(deployment: Deployment) -> None:
    """No queue is filled without a function that empties it, but for notices given up."""
    consumed = {
        source["Queue"].removesuffix(".Arn")
        for function in deployment.functions.values()
        for source in function.queues
    }
    assert consumed | {"UndeliveredQueue"} == set(deployment.resources("AWS::SQS::Queue"))


def test_what_is_delivered_too_often_becomes_a_dead_letter(deployment: Deployment) -> None:
    """Each queue that others fill has a dead-letter queue, which keeps letters no shorter."""
    queues = deployment.resources("AWS::SQS::Queue")
    for name, target in (("Queue", "DeadLetterQueue"), ("NotifyQueue", "UndeliveredQueue")):
        queue, letters = (queues[each]["Properties"] for each in (name, target))
        assert queue["RedrivePolicy"]["deadLetterTargetArn"] == f"{target}.Arn"
        assert "RedrivePolicy" not in letters
        assert letters["MessageRetentionPeriod"] >= queue["MessageRetentionPeriod"]
        assert queue["MessageRetentionPeriod"] > MAX_DEADLINE.total_seconds()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_deadline_ends_hand_backs_before_the_queue_does(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """A model that is unavailable until the longest deadline never makes a dead letter."""
    monkeypatch.setattr(random, "uniform", seeded(seed).uniform)
    limit = deployment.resources("AWS::SQS::Queue")["Queue"]["Properties"]["RedrivePolicy"]
    for _ in range(20):
        waited = timedelta()
        receives = 0
        while waited < MAX_DEADLINE:
            receives += 1
            waited += timedelta(seconds=max(1, int(worker._backoff(receives))))  # noqa: SLF001 - as handed back
        assert receives + worker.MAX_FAILURES < limit["maxReceiveCount"]


@pytest.mark.parametrize("folder", FUNCTIONS)
def test_an_api_function_ends_before_the_api_gives_up(deployment: Deployment, folder: str) -> None:
    """The API waits 30 s for a function, so no function of a route may take longer."""
    function = deployment.functions[folder]
    assert not function.routes or function.properties["Timeout"] < API_SECONDS


@pytest.mark.usefixtures("aws")
def test_a_call_of_aws_ends_before_its_function(deployment: Deployment) -> None:
    """When AWS does not answer, a function still has the time to say so itself."""
    for client in (clients.dynamodb(), clients.sqs(), clients.s3(), clients.secrets_manager()):
        config: Any = client.meta.config
        attempts = config.retries["total_max_attempts"]
        backoff = sum(min(2**attempt, 20) for attempt in range(attempts - 1))
        longest = attempts * (config.connect_timeout + config.read_timeout) + backoff
        for folder, function in deployment.functions.items():
            assert folder == "health" or longest < function.properties["Timeout"], folder


def test_data_are_encrypted_and_kept(deployment: Deployment) -> None:
    """Tables, queues and buckets are encrypted; tables and buckets outlive their stack."""
    tables = deployment.resources("AWS::DynamoDB::Table")
    buckets = deployment.resources("AWS::S3::Bucket")
    assert set(tables) == {"GenerationsTable", "RegistryTable", "UsageTable", "ContentsTable"}
    assert set(buckets) == {"Bucket", "ContentsBucket"}
    for resource in [*tables.values(), *buckets.values()]:
        assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == "Retain"
    for table in tables.values():
        properties = table["Properties"]
        assert properties["SSESpecification"] == {"SSEEnabled": True}
        assert properties["PointInTimeRecoverySpecification"] == {
            "PointInTimeRecoveryEnabled": True
        }
        assert properties["BillingMode"] == "PAY_PER_REQUEST"
    for queue in deployment.resources("AWS::SQS::Queue").values():
        assert queue["Properties"]["SqsManagedSseEnabled"] is True


@pytest.mark.parametrize("bucket", ["Bucket", "ContentsBucket"])
def test_a_bucket_is_closed(deployment: Deployment, bucket: str) -> None:
    """A bucket is encrypted, never public, and answers HTTPS only."""
    properties = deployment.resources("AWS::S3::Bucket")[bucket]["Properties"]
    (rule,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    assert properties["PublicAccessBlockConfiguration"] == {
        "BlockPublicAcls": True,
        "BlockPublicPolicy": True,
        "IgnorePublicAcls": True,
        "RestrictPublicBuckets": True,
    }
    policy = deployment.resources("AWS::S3::BucketPolicy")[f"{bucket}Policy"]
    assert policy["Properties"]["Bucket"] == REFERENCES[bucket]
    (statement,) = policy["Properties"]["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Condition"]) == (
        "Deny",
        "*",
        {"Bool": {"aws:SecureTransport": "false"}},
    )
    assert statement["Resource"] == [f"{bucket}.Arn", f"${{{bucket}.Arn}}/*"]


@pytest.mark.parametrize("days", ["1", "30", "3650"])
def test_big_texts_are_kept_as_long_as_their_generations(
    template: Mapping[str, Any], days: str
) -> None:
    """What is in the bucket expires after the retention, like the items."""
    deployment = Deployment(template, {"RetentionDays": days})
    properties = deployment.resources("AWS::S3::Bucket")["Bucket"]["Properties"]
    (rule,) = properties["LifecycleConfiguration"]["Rules"]
    assert (rule["Status"], rule["ExpirationInDays"]) == ("Enabled", days)
    environment = deployment.functions["submit_mail_generation"].environment
    assert environment["AFTERWORD_RETENTION_DAYS"] == days


def test_contents_are_kept_until_they_are_removed(deployment: Deployment) -> None:
    """Nothing expires in the bucket and the table of contents: their owner removes them."""
    properties = deployment.resources("AWS::S3::Bucket")["ContentsBucket"]["Properties"]
    (rule,) = properties["LifecycleConfiguration"]["Rules"]
    assert rule == {
        "Id": "abort-uploads",
        "Status": "Enabled",
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
    }
    table = deployment.resources("AWS::DynamoDB::Table")["ContentsTable"]["Properties"]
    assert "TimeToLiveSpecification" not in table


def test_logs_end(template: Mapping[str, Any], deployment: Deployment) -> None:
    """Every log group has a retention, and every function logs into one."""
    groups = deployment.resources("AWS::Logs::LogGroup")
    for group in groups.values():
        assert group["Properties"]["RetentionInDays"] == 30
    for function in deployment.functions.values():
        assert function.properties["LoggingConfig"]["LogGroup"] in groups
    longest = Deployment(template, {"LogRetentionDays": "365"})
    for group in longest.resources("AWS::Logs::LogGroup").values():
        assert group["Properties"]["RetentionInDays"] == "365"


def test_the_functions_fit_their_layer(deployment: Deployment) -> None:
    """Functions and layers are for the same Python and processor; who reads documents has two."""
    layers = deployment.resources("AWS::Serverless::LayerVersion")
    for folder, function in deployment.functions.items():
        for layer in function.properties["Layers"]:
            properties = layers[layer]["Properties"]
            assert [function.properties["Runtime"]] == properties["CompatibleRuntimes"]
            assert function.properties["Architectures"] == properties["CompatibleArchitectures"]
        reads = folder in {"generate", "create_content", "update_content"}
        own = ["DocumentsLayer"] if reads else []
        assert function.properties["Layers"] == ["CoreLayer", *own]


def test_the_indexes_are_the_cheap_ones(deployment: Deployment) -> None:
    """Results are written once: the indexes have keys only, but for that of dead letters."""
    table = deployment.resources("AWS::DynamoDB::Table")["GenerationsTable"]["Properties"]
    assert {
        index["IndexName"]: (
            [key["AttributeName"] for key in index["KeySchema"]],
            index["Projection"],
        )
        for index in table["GlobalSecondaryIndexes"]
    } == {
        "by_flow": (["list_key", "list_order"], {"ProjectionType": "KEYS_ONLY"}),
        "by_due": (["due_shard", "due_at"], {"ProjectionType": "KEYS_ONLY"}),
        "by_conversation": (["conversation", "list_order"], {"ProjectionType": "KEYS_ONLY"}),
        "by_dead_letter": (
            ["dead_letter_of", "finished_at"],
            {
                "ProjectionType": "INCLUDE",
                "NonKeyAttributes": ["id", "flow", "attempt", "expires_at", "dead_letter"],
            },
        ),
    }


def test_what_can_be_set_and_seen_is_documented(template: Mapping[str, Any]) -> None:
    """Every parameter and every output has a description, and those that others use are there."""
    for kind in ("Parameters", "Outputs"):
        for name, definition in template[kind].items():
            assert definition["Description"], name
    assert template["Parameters"].keys() >= {
        "RetentionDays",
        "ModelProvider",
        "ModelId",
        "ModelBaseUrl",
        "ModelApiKeySecretArn",
        "LogLevel",
    }
    assert template["Outputs"].keys() >= {
        "ApiUrl",
        "GenerationsTable",
        "RegistryTable",
        "QueueUrl",
        "DeadLetterQueueUrl",
        "Bucket",
    }
