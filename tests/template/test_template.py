"""The template: values that belong together fit, and no role may do more than needed."""

import json
import random
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from afterword import batches
from afterword.batches import intake
from afterword.engine import attempts as worker
from afterword.engine import top_up
from afterword.engine.attachments import DOCUMENT_MEGABYTES
from afterword.generations import MAX_DEADLINE
from afterword.knowledge.store import INDEXES
from afterword.runtime.clients import POOL_SIZE, clients
from afterword.runtime.queue import MAX_RECEIVED
from tests.conftest import ROOT
from tests.harness.deployment import DEFAULT_ROUTE, Deployment, as_list
from tests.harness.seeds import SEED_PARAMS, seeded

BUS = "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/${EventBusName}"
BEDROCK = "arn:${AWS::Partition}:bedrock:*"
SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:model-key"  # noqa: S105 - a name
BOTH_PROVIDERS = (
    {"ModelProvider": "bedrock", "KnowledgeBaseId": "ABCDEF0123"},
    {"ModelProvider": "openai", "ModelApiKeySecretArn": SECRET},
)
FUNCTIONS = sorted(path.name for path in (ROOT / "functions").iterdir() if path.name[0] not in "_.")
IAM_POLICIES = 10
"""The most managed policies that IAM attaches to a role unless a quota is raised."""
VARIABLES_BYTES = 4_096
"""The most that Lambda takes of a function's variables, names and values."""
LONGEST = {"AWS::DynamoDB::Table": 160, "AWS::S3::Bucket": 63, "AWS::SQS::Queue": 140}
"""The longest names and URLs of resources, in a stack with the longest name, by type."""
API_SECONDS = 30
"""The longest that an HTTP API waits for a function."""


def settings_that_are_read() -> set[str]:
    """Return the environment variables that settings.py reads."""
    source = (ROOT / "layers/core/afterword/runtime/settings.py").read_text()
    return set(re.findall(r'"(AFTERWORD_[A-Z_]+)"', source))


def set_variables(deployment: Deployment, folder: str) -> set[str]:
    """Return the variables of ours that a function has."""
    environment = deployment.functions[folder].environment
    return {name for name in environment if name.startswith("AFTERWORD_")}


def test_the_template_has_exactly_the_functions_that_there_are(deployment: Deployment) -> None:
    """Each folder of functions/ is one function of the template with one file, and back."""
    assert sorted(deployment.functions) == FUNCTIONS
    for folder, function in deployment.functions.items():
        assert function.properties["CodeUri"] == f"functions/{folder}/"
        assert function.properties["Handler"] == "app.handler"
        files = {path.name for path in (ROOT / "functions" / folder).iterdir()}
        assert files - {"__pycache__"} == {"app.py"}


@pytest.mark.parametrize("folder", FUNCTIONS)
def test_every_function_has_an_event_and_a_test(folder: str) -> None:
    """No function is without its sample event and its functional tests."""
    assert json.loads((ROOT / "events" / f"{folder}.json").read_text())
    assert (ROOT / "tests" / "endpoints" / f"test_{folder}.py").exists()


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
    (route,) = (each for each in function.routes if not each.startswith("HEAD "))
    assert event["routeKey"] == event["requestContext"]["routeKey"] == route
    assert event["requestContext"]["http"]["path"] == event["rawPath"]
    if route == DEFAULT_ROUTE:  # of any method and path
        return
    method, path = route.split(" ")
    assert event["requestContext"]["http"]["method"] == method
    parameters = event.get("pathParameters", {})
    assert event["rawPath"] == path.format_map(parameters)
    assert set(parameters) == set(re.findall(r"{(\w+)}", path))


def test_a_route_begins_at_the_root(deployment: Deployment) -> None:
    """A path has no stage before it, and each route is one function's."""
    (api,) = deployment.resources("AWS::Serverless::HttpApi").values()
    assert api["Properties"]["StageName"] == "$default"
    routes = [route for function in deployment.functions.values() for route in function.routes]
    assert len(routes) == len(set(routes))


def test_the_worker_may_call_the_model_it_has(template: Mapping[str, Any]) -> None:
    """With Bedrock the worker may invoke the stack's model, with a key it may read the key.

    The worker may ask the knowledge base of its parameter, and no other.
    """
    bedrock, openai = (added(template, values, "generate") for values in BOTH_PROVIDERS)
    assert bedrock == {
        f"{BEDROCK}::foundation-model/${{ModelId}}": {"bedrock:InvokeModel"},
        f"{BEDROCK}:${{AWS::AccountId}}:inference-profile/${{ModelId}}": {"bedrock:InvokeModel"},
        f"{BEDROCK}::foundation-model/*": {"bedrock:InvokeModel"},  # through that profile alone
        "arn:${AWS::Partition}:bedrock:${AWS::Region}:${AWS::AccountId}:knowledge-base/"
        "${KnowledgeBaseId}": {"bedrock:Retrieve"},
    }
    assert openai == {SECRET: {"secretsmanager:GetSecretValue"}}


@pytest.mark.parametrize("folder", ["deliver", "send_webhook"])
def test_events_go_to_the_bus_that_is_named(template: Mapping[str, Any], folder: str) -> None:
    """A publisher may publish on the bus that the owner names, and on none without a name."""
    assert added(template, {"EventBusName": "company"}, folder) == {BUS: {"events:PutEvents"}}


def added(
    template: Mapping[str, Any], parameters: Mapping[str, str], folder: str
) -> dict[str, set[str]]:
    """Return the permissions that parameters add to a function.

    The others are those with a model at an OpenAI-compatible endpoint without a key.
    """
    before = Deployment(template, {"ModelProvider": "openai"}).functions[folder].permissions
    after = Deployment(template, parameters).functions[folder].permissions
    assert before.items() <= after.items()
    return {resource: after[resource] for resource in after.keys() - before.keys()}


@pytest.mark.parametrize("parameters", BOTH_PROVIDERS)
def test_no_statement_is_for_everything(
    template: Mapping[str, Any], parameters: Mapping[str, str]
) -> None:
    """Actions are named one by one, no resource is `*`, and nothing comes from SAM or AWS."""
    for function in Deployment(template, parameters).functions.values():
        assert "Policies" not in function.properties
        assert function.role["ManagedPolicyArns"][0] == "WriteTelemetry"
        for statement in function.statements:
            assert statement.keys() - {"Condition"} == {"Effect", "Action", "Resource"}
            assert statement["Effect"] == "Allow"
            for action in as_list(statement["Action"]):
                assert re.fullmatch(r"[a-z0-9]+:[A-Z][A-Za-z]+", action), action
            for resource in as_list(statement["Resource"]):
                assert resource.split(":")[-1] != "*", resource


def test_all_models_are_asked_for(template: Mapping[str, Any]) -> None:
    """All models may be invoked with the parameter `*` alone, and models that are listed alone."""
    everything = added(template, {**BOTH_PROVIDERS[0], "BedrockModelArns": "*"}, "generate")
    kinds = ("inference-profile", "application-inference-profile")
    assert {name for name in everything if name.startswith(f"{BEDROCK}:") and "*" in name[30:]} == {
        f"{BEDROCK}::foundation-model/*",
        *(f"{BEDROCK}:${{AWS::AccountId}}:{kind}/*" for kind in kinds),
    }
    statements = [
        statement
        for function in Deployment(template, BOTH_PROVIDERS[0]).functions.values()
        for statement in function.statements
        if any(str(each).endswith("foundation-model/*") for each in as_list(statement["Resource"]))
    ]
    profile = f"{BEDROCK}:${{AWS::AccountId}}:inference-profile/${{ModelId}}"
    assert [each["Condition"] for each in statements] == [
        {"StringLike": {"bedrock:InferenceProfileArn": profile}}
    ]


def test_a_function_may_write_its_log(deployment: Deployment) -> None:
    """The policy that all functions share lets them write to their log group and no other."""
    policy = deployment.resources("AWS::IAM::ManagedPolicy")["WriteTelemetry"]
    assert policy["Properties"]["PolicyDocument"]["Statement"] == [
        {
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": "LogGroup.Arn",
        }
    ]


def test_a_shared_policy_is_shared(deployment: Deployment) -> None:
    """A policy of its own is for actions of several functions; those of one are in its role."""
    attached = [
        name
        for function in deployment.functions.values()
        for name in function.role["ManagedPolicyArns"]
    ]
    for name in deployment.resources("AWS::IAM::ManagedPolicy"):
        assert attached.count(name) > 1, name
    for function in deployment.functions.values():
        assert len(function.role["ManagedPolicyArns"]) <= IAM_POLICIES


def test_a_role_is_one_functions(deployment: Deployment) -> None:
    """No two functions share a role, and no policy names a role or a user itself."""
    functions = deployment.functions.values()
    assert len({function.properties["Role"] for function in functions}) == len(functions)
    for policy in deployment.resources("AWS::IAM::ManagedPolicy").values():
        assert policy["Properties"].keys() == {"Description", "PolicyDocument"}


def test_a_role_is_lambdas_alone(deployment: Deployment) -> None:
    """Lambda alone takes a function's role."""
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
    known |= {"AWS::StackName"}
    shared = template["Globals"]["Function"]["Environment"]["Variables"]
    own = [
        resource["Properties"].get("Environment", {}).get("Variables", {})
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::Serverless::Function"
    ]
    for variables in (shared, *own):
        for name, value in variables.items():
            if name.startswith("AFTERWORD_"):
                # Only some deployments have what a condition is about.
                _, given, other = value.get("Fn::If", ("", value, ""))
                assert given.keys() == {"Ref"}, name
                assert given["Ref"] in known, name
                assert not other, name
            else:
                assert name.startswith("POWERTOOLS_"), name


@pytest.mark.parametrize("folder", FUNCTIONS)
def test_the_variables_fit_into_a_function(template: Mapping[str, Any], folder: str) -> None:
    """Lambda takes all variables, with the longest names that resources can have."""
    parameters = {"EventBusName": "b" * 256, "ModelBaseUrl": "u" * 200, "ModelId": "m" * 100}
    parameters["ModelApiKeySecretArn"] = "s" * 150
    values = {"AWS::StackName": "n" * 128} | {
        name: "r" * LONGEST[resource["Type"]]
        for name, resource in template["Resources"].items()
        if resource["Type"] in LONGEST
    }
    environment = Deployment(template, parameters | values).functions[folder].environment
    taken = sum(len(name) + len(value) for name, value in environment.items())
    assert taken < VARIABLES_BYTES - 100  # `make deploy` adds one


def test_a_thread_has_a_connection_of_its_own(
    template: Mapping[str, Any], deployment: Deployment
) -> None:
    """A consumer has as many connections to AWS as threads, for a batch or topped up."""
    for function in deployment.functions.values():
        for source in function.queues:
            assert source["BatchSize"] == MAX_RECEIVED
    most = template["Parameters"]["WorkerGenerations"]
    assert (most["MinValue"], most["MaxValue"]) == (MAX_RECEIVED, POOL_SIZE)


@pytest.mark.parametrize("generations", ["10", "25"])
def test_the_owner_chooses_how_many_a_worker_runs(
    template: Mapping[str, Any], generations: str
) -> None:
    """The worker learns how many generations it may run at once."""
    worker = Deployment(template, {"WorkerGenerations": generations}).functions["generate"]
    assert worker.environment["AFTERWORD_WORKER_GENERATIONS"] == generations


@pytest.mark.parametrize("megabytes", ["256", "1024"])
def test_the_owner_chooses_the_workers_memory(template: Mapping[str, Any], megabytes: str) -> None:
    """The worker has the memory that is asked for; by default it can read documents."""
    worker = Deployment(template, {"WorkerMemory": megabytes}).functions["generate"]
    assert worker.properties["MemorySize"] == megabytes
    parameter = template["Parameters"]["WorkerMemory"]
    assert parameter["Default"] == DOCUMENT_MEGABYTES
    assert min(parameter["AllowedValues"]) < DOCUMENT_MEGABYTES


def test_a_generation_that_was_taken_has_its_time(deployment: Deployment) -> None:
    """A generation that a running worker takes last still has 300 s."""
    seconds = deployment.functions["generate"].properties["Timeout"]
    assert seconds * (1 - top_up.TAKING_SHARE) >= 300


def test_every_queue_is_consumed(deployment: Deployment) -> None:
    """No queue is filled without a function that empties it, but for what was received in vain."""
    consumed = {
        source["Queue"].removesuffix(".Arn")
        for function in deployment.functions.values()
        for source in function.queues
    }
    unread = {
        "UndeliveredQueue",
        "UnsentWebhooksQueue",
        "IntakeDeadLetterQueue",
        "UnembeddedQueue",
    }
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


@pytest.mark.parametrize("seed", SEED_PARAMS)
def test_the_deadline_ends_requeues_before_the_queue_does(
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
            waited += timedelta(seconds=max(1, int(worker._backoff(receives))))  # noqa: SLF001 - as requeued
        assert receives + worker.MAX_FAILURES < limit["maxReceiveCount"]


@pytest.mark.parametrize("folder", FUNCTIONS)
def test_an_api_function_ends_before_the_api_times_out(deployment: Deployment, folder: str) -> None:
    """The API waits 30 s for a function, so no function of a route may take longer."""
    function = deployment.functions[folder]
    assert not function.routes or function.properties["Timeout"] < API_SECONDS


@pytest.mark.usefixtures("aws")
def test_a_call_of_aws_ends_before_its_function(deployment: Deployment) -> None:
    """When AWS does not answer, a function still has the time to say so itself."""
    for client in (clients().dynamodb, clients().sqs, clients().s3, clients().secrets_manager):
        config: Any = client.meta.config
        attempts = config.retries["total_max_attempts"]
        backoff = sum(min(2**attempt, 20) for attempt in range(attempts - 1))
        longest = attempts * (config.connect_timeout + config.read_timeout) + backoff
        for folder, function in deployment.functions.items():
            asks = function.permissions.keys() - {"LogGroup.Arn"}
            assert not asks or longest < function.properties["Timeout"], folder


@pytest.mark.parametrize("days", ["1", "30", "3650"])
def test_big_texts_are_kept_as_long_as_their_generations(
    template: Mapping[str, Any], days: str
) -> None:
    """A payload in the bucket expires after the retention, like the items."""
    deployment = Deployment(template, {"RetentionDays": days})
    properties = deployment.resources("AWS::S3::Bucket")["Bucket"]["Properties"]
    (rule,) = properties["LifecycleConfiguration"]["Rules"]
    assert (rule["Status"], rule["ExpirationInDays"]) == ("Enabled", days)
    environment = deployment.functions["submit_mail_generation"].environment
    assert environment["AFTERWORD_RETENTION_DAYS"] == days


def test_the_hours_of_a_batch_are_within_the_bounds_of_a_request(
    template: Mapping[str, Any],
) -> None:
    """The deployment's deadline of batches is one that a request may set too."""
    hours = template["Parameters"]["BatchHours"]
    assert (hours["MinValue"], hours["MaxValue"]) == (batches.MIN_HOURS, batches.MAX_HOURS)
    assert hours["MinValue"] <= hours["Default"] <= hours["MaxValue"]


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
    """No content expires in its bucket and table: their owner removes them. Indexes do."""
    properties = deployment.resources("AWS::S3::Bucket")["ContentsBucket"]["Properties"]
    aborts, expires = properties["LifecycleConfiguration"]["Rules"]
    assert aborts == {
        "Id": "abort-uploads",
        "Status": "Enabled",
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
    }
    assert expires["Prefix"] == f"{INDEXES}/"
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
            "generate": ("DocumentsLayer", "ValidationLayer", "RankingLayer"),
            "put_flow": ("ValidationLayer",),
            **dict.fromkeys(("get_answer", "answer_query"), ("LanguagesLayer",)),
            **dict.fromkeys(("create_content", "update_content"), ("DocumentsLayer",)),
            **dict.fromkeys(("get_openapi", "get_docs", "get_docs_file"), ("ViewerLayer",)),
        }
        assert function.properties["Layers"] == ["CoreLayer", *own.get(folder, ())]


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
        "by_tenant": (["tenant", "list_order"], {"ProjectionType": "KEYS_ONLY"}),
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
