"""The template: what belongs together fits together, and nobody may do more than needed."""

import json
import random
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from afterword import batches, clients, intake, worker
from afterword.generations import MAX_DEADLINE
from tests.conftest import ROOT
from tests.harness.deployment import Deployment, as_list
from tests.harness.seeds import SEEDS, seeded

GENERATIONS, REGISTRY, USAGE = "GenerationsTable.Arn", "RegistryTable.Arn", "UsageTable.Arn"
SETTLES = {USAGE: {"dynamodb:UpdateItem"}, "NotifyQueue.Arn": {"sqs:SendMessage"}}
"""What everything that ends generations may do then."""
BY_FLOW = "${GenerationsTable.Arn}/index/by_flow"
BY_REFERENCE = "${GenerationsTable.Arn}/index/by_reference"
BY_CONVERSATION = "${GenerationsTable.Arn}/index/by_conversation"
CONVERSATIONS = "${GenerationsTable.Arn}/index/by_conversation"
BY_END = "${GenerationsTable.Arn}/index/by_end"
DUE = "${GenerationsTable.Arn}/index/by_due"
TEXTS = "${Bucket.Arn}/*"
STATISTICS = "StatisticsTable.Arn"
CONTENTS, CONTENT_TEXTS = "ContentsTable.Arn", "${ContentsBucket.Arn}/*"
BATCHES, BATCH_FILES = "BatchesTable.Arn", "${BatchBucket.Arn}"
BUS = "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/${EventBusName}"
BEDROCK = "arn:${AWS::Partition}:bedrock:*"
WEBHOOKS, SEND = "WebhooksTable.Arn", {"WebhookQueue.Arn": {"sqs:SendMessage"}}
WEBHOOK_SECRETS = (
    "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter/afterword/"
    "${WebhooksTable}/*"
)
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
    "get_openapi": {},
    "get_docs": {},
    "get_docs_file": {},
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
    "submit_generation": {
        **SUBMITS,
        CONTENTS: {"dynamodb:BatchGetItem"},
        TEXTS: {"s3:GetObject", "s3:PutObject"},
    },
    "get_generation": READS,
    "list_generations": LISTS
    | {REGISTRY: {"dynamodb:GetItem", "dynamodb:Query"}, BY_REFERENCE: {"dynamodb:Query"}},
    "cancel_generation": READS
    | SETTLES
    | {GENERATIONS: {"dynamodb:GetItem", "dynamodb:UpdateItem"}},
    "delete_generation": READS
    | {
        GENERATIONS: {"dynamodb:GetItem", "dynamodb:UpdateItem"},
        TEXTS: {"s3:GetObject", "s3:DeleteObject"},
    },
    "retry_generation": SUBMITS | {TEXTS: {"s3:GetObject", "s3:PutObject"}},
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
    "list_flows": {REGISTRY: {"dynamodb:GetItem", "dynamodb:Query"}},
    "get_flow": {REGISTRY: {"dynamodb:GetItem"}},
    "put_flow": {
        REGISTRY: {"dynamodb:GetItem", "dynamodb:PutItem"},
        CONTENTS: {"dynamodb:BatchGetItem"},
    },
    "list_flow_versions": {REGISTRY: {"dynamodb:GetItem", "dynamodb:Query"}},
    "list_keys": {REGISTRY: {"dynamodb:GetItem", "dynamodb:Query"}},
    "create_key": {REGISTRY: {"dynamodb:GetItem", "dynamodb:PutItem"}},
    "revoke_key": {REGISTRY: {"dynamodb:GetItem", "dynamodb:UpdateItem"}},
    "get_usage": {
        REGISTRY: {"dynamodb:GetItem"},
        BY_END: {"dynamodb:Query"},
        STATISTICS: {"dynamodb:GetItem", "dynamodb:Query"},
    },
    "count_usage": {
        BY_END: {"dynamodb:Query"},
        STATISTICS: {"dynamodb:GetItem", "dynamodb:UpdateItem"},
    },
    "create_batch": {
        REGISTRY: {"dynamodb:GetItem"},
        BATCHES: {"dynamodb:PutItem"},
        f"{BATCH_FILES}/uploads/*": {"s3:PutObject"},
    },
    "get_batch": {
        REGISTRY: {"dynamodb:GetItem"},
        BATCHES: {"dynamodb:GetItem"},
        f"{BATCH_FILES}/results/*": {"s3:GetObject"},
    },
    "intake": {
        **SUBMITS,
        CONTENTS: {"dynamodb:BatchGetItem"},
        TEXTS: {"s3:GetObject", "s3:PutObject"},
        BATCHES: {"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:Query"},
        f"{BATCH_FILES}/intake/*": {"s3:GetObject", "s3:GetObjectVersion"},
        f"{BATCH_FILES}/uploads/*": {"s3:GetObject", "s3:GetObjectVersion"},
        f"{BATCH_FILES}/results/*": {"s3:PutObject"},
        "IntakeQueue.Arn": {*CONSUMES, "sqs:ChangeMessageVisibility", "sqs:SendMessage"},
        "IntakeDeadLetterQueue.Arn": {"sqs:SendMessage"},
    },
    "list_webhooks": {REGISTRY: {"dynamodb:GetItem"}, WEBHOOKS: {"dynamodb:Query"}},
    "create_webhook": {
        REGISTRY: {"dynamodb:GetItem", "dynamodb:UpdateItem"},
        WEBHOOKS: {"dynamodb:Query", "dynamodb:PutItem"},
        WEBHOOK_SECRETS: {"ssm:PutParameter"},
    },
    "get_webhook": {REGISTRY: {"dynamodb:GetItem"}, WEBHOOKS: {"dynamodb:GetItem"}},
    "update_webhook": {
        REGISTRY: {"dynamodb:GetItem"},
        WEBHOOKS: {"dynamodb:GetItem", "dynamodb:UpdateItem"},
    },
    "delete_webhook": {
        REGISTRY: {"dynamodb:GetItem", "dynamodb:UpdateItem"},
        WEBHOOKS: {"dynamodb:GetItem", "dynamodb:DeleteItem"},
        WEBHOOK_SECRETS: {"ssm:DeleteParameter"},
    },
    "rotate_webhook": {
        REGISTRY: {"dynamodb:GetItem"},
        WEBHOOKS: {"dynamodb:GetItem", "dynamodb:UpdateItem"},
        WEBHOOK_SECRETS: {"ssm:GetParameter", "ssm:PutParameter"},
    },
    "test_webhook": {
        **SEND,
        REGISTRY: {"dynamodb:GetItem"},
        WEBHOOKS: {"dynamodb:GetItem", "dynamodb:PutItem"},
    },
    "list_deliveries": {
        REGISTRY: {"dynamodb:GetItem"},
        WEBHOOKS: {"dynamodb:GetItem", "dynamodb:Query"},
    },
    "replay_delivery": {
        **SEND,
        REGISTRY: {"dynamodb:GetItem"},
        WEBHOOKS: {"dynamodb:GetItem", "dynamodb:UpdateItem"},
    },
    "send_webhook": {
        WEBHOOKS: {"dynamodb:GetItem", "dynamodb:UpdateItem"},
        WEBHOOK_SECRETS: {"ssm:GetParameter"},
        "WebhookQueue.Arn": {*CONSUMES, "sqs:ChangeMessageVisibility"},
    },
    "generate": WORKER,
    "dead_letter": {
        **SETTLES,
        GENERATIONS: {"dynamodb:UpdateItem"},
        "DeadLetterQueue.Arn": CONSUMES,
    },
    "deliver": {
        **SEND,
        GENERATIONS: {"dynamodb:GetItem", "dynamodb:UpdateItem"},
        REGISTRY: {"dynamodb:GetItem"},
        WEBHOOKS: {"dynamodb:Query", "dynamodb:PutItem"},
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
        "GET /openapi.json": "get_openapi",
        "GET /docs": "get_docs",
        "GET /docs/{file}": "get_docs_file",
        f"POST {generation}": "submit_mail_generation",
        f"GET {generation}/{{processCuid}}": "get_mail_generation",
        "GET /v1/flows": "list_flows",
        "GET /v1/flows/{flowId}": "get_flow",
        "PUT /v1/flows/{flowId}": "put_flow",
        "GET /v1/flows/{flowId}/versions": "list_flow_versions",
        "GET /v1/keys": "list_keys",
        "POST /v1/keys": "create_key",
        "DELETE /v1/keys/{keyId}": "revoke_key",
        "GET /v1/usage": "get_usage",
        "POST /v1/batches": "create_batch",
        "GET /v1/batches/{batchId}": "get_batch",
        "POST /v1/generations": "submit_generation",
        "GET /v1/generations": "list_generations",
        "GET /v1/generations/{id}": "get_generation",
        "DELETE /v1/generations/{id}": "delete_generation",
        "POST /v1/generations/{id}/cancel": "cancel_generation",
        "POST /v1/generations/{id}/retry": "retry_generation",
        "POST /v1/flows/{flowId}/generate": "generate_flow",
        "GET /v1/logs/{logId}": "get_flow_log",
        "POST /v1/logs/{logId}/rate": "rate_flow_log",
        "POST /v1/content": "create_content",
        "POST /v1/content/{contentId}": "update_content",
        "GET /v1/content/folders": "list_folders",
        "GET /v1/content/folders/{folderId}/contents": "list_folder_contents",
        "POST /api/v1/ai/async/query": "submit_query",
        "GET /api/v1/ai/async/answer": "get_answer",
        "GET /v1/webhooks": "list_webhooks",
        "POST /v1/webhooks": "create_webhook",
        "GET /v1/webhooks/{webhookId}": "get_webhook",
        "PATCH /v1/webhooks/{webhookId}": "update_webhook",
        "DELETE /v1/webhooks/{webhookId}": "delete_webhook",
        "POST /v1/webhooks/{webhookId}/rotate": "rotate_webhook",
        "POST /v1/webhooks/{webhookId}/test": "test_webhook",
        "GET /v1/webhooks/{webhookId}/deliveries": "list_deliveries",
        "POST /v1/webhooks/{webhookId}/deliveries/{deliveryId}/replay": "replay_delivery",
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


@pytest.mark.parametrize("folder", ["deliver", "send_webhook"])
def test_events_go_to_the_bus_that_is_named(template: Mapping[str, Any], folder: str) -> None:
    """Who publishes may do so on the bus that the owner names, and on none without a name."""
    deployment = Deployment(template, {"EventBusName": "company"})
    added = {BUS: {"events:PutEvents"}}
    assert deployment.functions[folder].permissions == PERMISSIONS[folder] | added


@pytest.mark.parametrize("parameters", BOTH_PROVIDERS)
def test_no_statement_is_for_everything(
    template: Mapping[str, Any], parameters: Mapping[str, str]
) -> None:
    """Actions are named one by one, no resource is `*`, and nothing comes from SAM or AWS."""
    for function in Deployment(template, parameters).functions.values():
        assert "Policies" not in function.properties
        assert function.role["ManagedPolicyArns"] == ["WriteTelemetry"]
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


def test_a_batch_has_a_connection_for_each_message(deployment: Deployment) -> None:
    """What works on the messages of a batch at once has as many connections to AWS."""
    for function in deployment.functions.values():
        for source in function.queues:
            assert source["BatchSize"] == clients.POOL_SIZE == 10


def test_every_queue_is_consumed(deployment: Deployment) -> None:
    """No queue is filled without a function that empties it, but for notices given up."""
    consumed = {
        source["Queue"].removesuffix(".Arn")
        for function in deployment.functions.values()
        for source in function.queues
    }
    unread = {"UndeliveredQueue", "UnsentWebhooksQueue", "IntakeDeadLetterQueue"}
    assert consumed | unread == set(deployment.resources("AWS::SQS::Queue"))


def test_what_is_delivered_too_often_becomes_a_dead_letter(deployment: Deployment) -> None:
    """Each queue that others fill has a dead-letter queue, which keeps letters no shorter."""
    queues = deployment.resources("AWS::SQS::Queue")
    for name, target in (
        ("Queue", "DeadLetterQueue"),
        ("NotifyQueue", "UndeliveredQueue"),
        ("WebhookQueue", "UnsentWebhooksQueue"),
        ("IntakeQueue", "IntakeDeadLetterQueue"),
    ):
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
            asks = PERMISSIONS[folder]
            assert not asks or longest < function.properties["Timeout"], folder


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


@pytest.mark.parametrize("days", ["1", "30", "3650"])
def test_files_of_batches_are_kept_as_long_as_their_generations(
    template: Mapping[str, Any], days: str
) -> None:
    """Files and results expire after the retention, and all their versions a day later."""
    deployment = Deployment(template, {"RetentionDays": days})
    properties = deployment.resources("AWS::S3::Bucket")["BatchBucket"]["Properties"]
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    expire, forget = properties["LifecycleConfiguration"]["Rules"]
    assert (expire["Status"], expire["ExpirationInDays"]) == ("Enabled", days)
    assert expire["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}
    assert expire["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}
    assert (forget["Status"], forget["ExpiredObjectDeleteMarker"]) == ("Enabled", True)
    table = deployment.resources("AWS::DynamoDB::Table")["BatchesTable"]["Properties"]
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}


def test_the_intake_hears_of_files_and_of_nothing_else(deployment: Deployment) -> None:
    """Files of JSON Lines in the two folders come to the queue, from this account's S3 alone."""
    properties = deployment.resources("AWS::S3::Bucket")["BatchBucket"]["Properties"]
    heard = properties["NotificationConfiguration"]["QueueConfigurations"]
    folders = [f"{folder}/" for folder in (batches.INTAKE, batches.UPLOADS)]
    assert heard == [
        {
            "Event": "s3:ObjectCreated:*",
            "Queue": "IntakeQueue.Arn",
            "Filter": {
                "S3Key": {
                    "Rules": [
                        {"Name": "prefix", "Value": folder},
                        {"Name": "suffix", "Value": ".jsonl"},
                    ]
                }
            },
        }
        for folder in folders
    ]
    policy = deployment.resources("AWS::SQS::QueuePolicy")["IntakeQueuePolicy"]
    (statement,) = policy["Properties"]["PolicyDocument"]["Statement"]
    assert statement == {
        "Sid": "FilesOfBatches",
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": "IntakeQueue.Arn",
        "Condition": {"StringEquals": {"aws:SourceAccount": "AWS::AccountId"}},
    }


@pytest.mark.parametrize(
    ("named", "accounts"),
    [
        ("", ["AWS::AccountId"]),
        ("111111111111,222222222222", ["111111111111", "222222222222"]),
    ],
)
def test_the_owner_says_whose_events_are_taken(
    template: Mapping[str, Any], named: str, accounts: list[str]
) -> None:
    """A bus that is named brings events of this account, or of those that are named."""
    parameters = {"IntakeBusName": "orders", "IntakeAccounts": named}
    deployment = Deployment(template, parameters)
    (rule,) = deployment.resources("AWS::Events::Rule").values()
    assert rule["Condition"] == "HasIntakeBus"
    properties = rule["Properties"]
    assert properties["EventBusName"] == "orders"
    assert properties["EventPattern"] == {
        "detail-type": [intake.DETAIL_TYPE],
        "account": accounts,
    }
    dead_letters = {"Arn": "IntakeDeadLetterQueue.Arn"}
    assert properties["Targets"] == [
        {"Id": "intake", "Arn": "IntakeQueue.Arn", "DeadLetterConfig": dead_letters}
    ]
    policy = deployment.resources("AWS::SQS::QueuePolicy")["IntakeQueuePolicy"]
    _, statement = policy["Properties"]["PolicyDocument"]["Statement"]
    undeliverable = deployment.resources("AWS::SQS::QueuePolicy")["IntakeDeadLetterQueuePolicy"]
    (failed,) = undeliverable["Properties"]["PolicyDocument"]["Statement"]
    assert (statement["Resource"], failed["Resource"]) == (
        "IntakeQueue.Arn",
        "IntakeDeadLetterQueue.Arn",
    )
    for one in (statement, failed):
        assert (one["Principal"], one["Condition"]) == (
            {"Service": "events.amazonaws.com"},
            {"ArnEquals": {"aws:SourceArn": "GenerationRequestedRule.Arn"}},
        )


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
    """Functions and layers are for the same Python and processor; each has what it reads."""
    layers = deployment.resources("AWS::Serverless::LayerVersion")
    for folder, function in deployment.functions.items():
        for layer in function.properties["Layers"]:
            properties = layers[layer]["Properties"]
            assert [function.properties["Runtime"]] == properties["CompatibleRuntimes"]
            assert function.properties["Architectures"] == properties["CompatibleArchitectures"]
        own = {
            **dict.fromkeys(("generate", "create_content", "update_content"), "DocumentsLayer"),
            **dict.fromkeys(("get_openapi", "get_docs", "get_docs_file"), "ViewerLayer"),
        }
        layers_of_its_own = [own[folder]] if folder in own else []
        assert function.properties["Layers"] == ["CoreLayer", *layers_of_its_own]


def test_the_indexes_are_the_cheap_ones(deployment: Deployment) -> None:
    """Results are written once: the indexes have keys only, or what is as small."""
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
        "by_reference": (["reference", "list_order"], {"ProjectionType": "KEYS_ONLY"}),
        "by_end": (
            ["ended_in", "list_key"],
            {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["status", "reason", "answers"]},
        ),
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
