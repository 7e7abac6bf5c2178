"""The owner's operations: alarms, dashboard, gradual deployment, and the template's switches.

Versions and deployments are looked at in what SAM makes of the template.
"""

import copy
import itertools
import json
import re
from collections.abc import Mapping
from typing import Any

import boto3
import pytest
from samtranslator.parser.parser import Parser  # type: ignore[import-untyped]
from samtranslator.translator.translator import Translator  # type: ignore[import-untyped]

from afterword.engine import metrics
from openapi.document import JSON_FILE
from tests.conftest import ROOT
from tests.harness.deployment import REGION, Deployment

GRADUAL = {"Deployment": "Canary10Percent5Minutes"}
STACK = [{"Name": "stack", "Value": "afterword"}]
OURS = {
    "TimeInQueue",
    "TimeInModel",
    "TokensIn",
    "TokensOut",
    "Succeeded",
    "Failed",
    "Canceled",
    "Requeued",
    "SweepLag",
    "Repaired",
    "Unreadable",
}
"""The metrics that afterword/engine/metrics.py writes."""

type Resources = dict[str, dict[str, Any]]


def expanded(
    template: Mapping[str, Any], parameters: Mapping[str, str] | None = None, layer: str = "one"
) -> Resources:
    """Return the resources that SAM makes of the template, with layers of this content."""
    packaged = copy.deepcopy(dict(template))
    for name, resource in packaged["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = f"s3://packages/{name}"
        if resource["Type"] == "AWS::Serverless::LayerVersion":
            resource["Properties"]["ContentUri"] = f"s3://packages/{name}-{layer}"
    values = {
        name: str(definition.get("Default", ""))
        for name, definition in template["Parameters"].items()
    } | dict(parameters or {})
    session = boto3.Session(region_name=REGION)
    translated = Translator({}, Parser(), boto_session=session).translate(packaged, values)
    resources: Resources = translated["Resources"]
    return resources


def of_type(resources: Resources, kind: str) -> Resources:
    """Return the resources of one type."""
    return {name: each for name, each in resources.items() if each["Type"] == kind}


@pytest.fixture(scope="module")
def made(template: Mapping[str, Any]) -> Resources:
    """Return the template as SAM makes it with its defaults."""
    return expanded(template)


@pytest.fixture
def alarms(deployment: Deployment) -> dict[str, Mapping[str, Any]]:
    """Return the properties of the alarms."""
    return {
        name: alarm["Properties"]
        for name, alarm in deployment.resources("AWS::CloudWatch::Alarm").items()
    }


# --- alarms and the dashboard -------------------------------------------------------------------


def watched(alarm: Mapping[str, Any]) -> list[tuple[str, str, Any]]:
    """Return namespace, name and dimensions of each metric of an alarm."""
    metrics_of_it = [
        each["MetricStat"]["Metric"] for each in alarm.get("Metrics", ()) if "MetricStat" in each
    ] or [alarm]
    return [
        (each["Namespace"], each["MetricName"], each.get("Dimensions", []))
        for each in metrics_of_it
    ]


def test_whatever_can_go_wrong_rings(
    deployment: Deployment, alarms: Mapping[str, Mapping[str, Any]]
) -> None:
    """Old messages, dead letters, errors, throttles, a silent sweeper and many failures ring."""
    seen = {
        (namespace, metric, next((each["Value"] for each in dimensions), ""))
        for alarm in alarms.values()
        for namespace, metric, dimensions in watched(alarm)
    }
    by_themselves = [f.name for f in deployment.functions.values() if not f.routes]
    assert len(by_themselves) == 10
    letters = {
        queue["Properties"]["RedrivePolicy"]["deadLetterTargetArn"].removesuffix(".Arn")
        for queue in deployment.resources("AWS::SQS::Queue").values()
        if "RedrivePolicy" in queue["Properties"]
    }
    consumed = {
        source["Queue"].removesuffix(".Arn")
        for function in deployment.functions.values()
        for source in function.queues
    }
    assert seen == {
        ("AWS/SQS", "ApproximateAgeOfOldestMessage", "Queue.QueueName"),
        ("AWS/SQS", "ApproximateAgeOfOldestMessage", "NotifyQueue.QueueName"),
        ("AWS/Lambda", "Invocations", "DeadLetterFunction"),
        *(
            ("AWS/SQS", "ApproximateNumberOfMessagesVisible", f"{queue}.QueueName")
            for queue in letters - consumed
        ),
        ("AWS/ApiGateway", "5xx", "Api"),
        *(("AWS/Lambda", "Errors", name) for name in by_themselves),
        ("AWS/Lambda", "Throttles", ""),
        ("AWS/Lambda", "Invocations", "SweepFunction"),
        ("afterword", "Failed", "afterword"),
        ("afterword", "Succeeded", "afterword"),
        ("afterword", "SweepLag", "afterword"),
        ("afterword", "Unreadable", "afterword"),
    }


def test_an_alarm_is_for_people(alarms: Mapping[str, Mapping[str, Any]]) -> None:
    """Each alarm says what has happened, and the operations page what to do."""
    page = (ROOT / "docs/operations.md").read_text()
    for name, alarm in alarms.items():
        assert alarm["AlarmDescription"], name
        assert f"`{name}`" in page, f"docs/operations.md does not say what to do about {name}"


def test_silence_is_an_alarm_for_the_sweeper_alone(
    alarms: Mapping[str, Mapping[str, Any]],
) -> None:
    """Where nothing is measured nothing has happened, but the sweeper runs every minute."""
    for name, alarm in alarms.items():
        silent = "breaching" if name == "SweeperSilenceAlarm" else "notBreaching"
        assert alarm["TreatMissingData"] == silent, name


@pytest.mark.parametrize("email", ["", "owner@example.com"])
def test_alarms_go_to_who_is_named(template: Mapping[str, Any], email: str) -> None:
    """With an address every alarm, and its end, is mailed; without one there is no topic."""
    deployment = Deployment(template, {"AlarmEmail": email})
    for alarm in deployment.resources("AWS::CloudWatch::Alarm").values():
        for actions in ("AlarmActions", "OKActions"):
            assert alarm["Properties"].get(actions) == (["AlarmTopic"] if email else None)
    (topic,) = deployment.resources("AWS::SNS::Topic").values()
    assert topic["Condition"] == "HasAlarmEmail"
    assert deployment.holds("HasAlarmEmail") is bool(email)
    assert topic["Properties"]["Subscription"] == [{"Protocol": "email", "Endpoint": email}]


def test_the_budget_is_the_owners(template: Mapping[str, Any]) -> None:
    """The share of an hour's generations that failed is watched once there are enough of them."""
    deployment = Deployment(template, {"FailureBudgetPercent": "2"})
    alarm = deployment.resources("AWS::CloudWatch::Alarm")["FailureBudgetAlarm"]["Properties"]
    assert alarm["Threshold"] == "2"
    share, *counts = alarm["Metrics"]
    assert share["Expression"] == (
        "IF(failed + succeeded >= 20, 100 * failed / (failed + succeeded), 0)"
    )
    for count in counts:
        assert count["MetricStat"]["Metric"]["Namespace"] == metrics.NAMESPACE
        assert count["MetricStat"]["Metric"]["Dimensions"] == STACK


def dashboard(template: Mapping[str, Any]) -> dict[str, Any]:
    """Return the dashboard's body, with its references as they stand in the template."""
    body: dict[str, Any] = json.loads(
        template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    )
    return body


def test_the_dashboard_shows_what_there_is(template: Mapping[str, Any]) -> None:
    """Each of its metrics is one of ours or of a resource that is there."""
    known = template["Resources"].keys() | {"AWS::Region", "AWS::StackName"}
    text = json.dumps(dashboard(template))
    for reference in re.findall(r"\$\{([A-Za-z:]+)", text):
        assert reference in known
    shown = set()
    for widget in dashboard(template)["widgets"]:
        if widget["type"] == "log":
            query = widget["properties"]["query"]
            assert query.startswith("SOURCE '${LogGroup}' | ")
            assert set(re.findall(r"(\w+)\.0", query)) <= OURS
            continue
        for metric in widget["properties"]["metrics"]:
            if metric[0] == metrics.NAMESPACE:
                shown.add(metric[1])
                assert metric[2:4] == ["stack", "${AWS::StackName}"]
    assert shown == OURS
    source = (ROOT / "layers/core/afterword/engine/metrics.py").read_text()
    assert set(re.findall(r'"([A-Z][A-Za-z]+)": ', source)) | {"TokensIn", "TokensOut"} == OURS


def test_no_widget_hides_another(template: Mapping[str, Any]) -> None:
    """The widgets stand side by side on the 24 columns of a dashboard."""
    boxes = [
        {
            (x, y)
            for x in range(widget["x"], widget["x"] + widget["width"])
            for y in range(widget["y"], widget["y"] + widget["height"])
        }
        for widget in dashboard(template)["widgets"]
    ]
    assert all(x < 24 for box in boxes for x, _ in box)
    assert all(not one & other for one, other in itertools.combinations(boxes, 2))


def test_monitoring_can_be_left_out(template: Mapping[str, Any]) -> None:
    """Alarms and dashboard, which cost money, are there where Monitoring is on, and only there."""
    monitored: set[str] = set()
    for resource in template["Resources"].values():
        if resource["Type"].startswith("AWS::CloudWatch::"):
            monitored.add(resource["Condition"])
    everything = {"EmbeddingProvider": "bedrock"}
    for condition in monitored:
        assert Deployment(template, everything).holds(condition)
        assert not Deployment(template, everything | {"Monitoring": "false"}).holds(condition)


# --- versions and deployment --------------------------------------------------------------------


ADMINISTRATION = re.compile(
    r"\w+ /(docs.*|openapi\.json|health|)$|\$default$"
    r"|\w+ /v1/(keys|webhooks|contents?|usage)\b|\w+ /v1/flows(?!/\{flowId\}/generate)"
)
"""Routes of the documentation and of what a tenant owns beside generations."""
OFF_THE_WAY = {
    "delete_generation",
    "embed",
    "give_feedback",
    "rate_flow_log",
    "update_text_generation",
    "count_usage",
    "sweep_objects",
}
"""Functions that change no generation's way: for titles, judgments, vectors, and after its end."""


@pytest.fixture(scope="module")
def on_the_way(template: Mapping[str, Any]) -> set[str]:
    """Return the logical ids of the functions that a generation passes until its text is read."""
    return {
        f"{folder.title().replace('_', '')}Function"
        for folder, function in Deployment(template, {}).functions.items()
        if folder not in OFF_THE_WAY
        and not any(ADMINISTRATION.match(route) for route in function.routes)
    }


def test_requests_and_events_go_to_the_alias(made: Resources, on_the_way: set[str]) -> None:
    """On its way a generation passes aliases alone, so that a deployment can turn back."""
    aliases = of_type(made, "AWS::Lambda::Alias")
    assert set(aliases) == {f"{name}Aliaslive" for name in on_the_way}
    (api,) = of_type(made, "AWS::ApiGatewayV2::Api").values()
    uris = [
        operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"]
        for path in api["Properties"]["Body"]["paths"].values()
        for operation in path.values()
    ]
    called = [
        *(each["Properties"]["FunctionName"]["Ref"] for each in callers(made)),
        *(
            target["Arn"].get("Ref") or target["Arn"]["Fn::GetAtt"][0]
            for name, rule in of_type(made, "AWS::Events::Rule").items()
            if name != "GenerationRequestedRule"
            for target in rule["Properties"]["Targets"]
        ),
        *(re.findall(r"\$\{([A-Za-z]+)(?:\.Arn)?\}/invocations$", uri)[0] for uri in uris),
    ]
    assert len(called) > 2 * len(uris)
    assert not on_the_way & set(called)
    assert set(aliases) <= set(called)


def callers(made: Resources) -> list[Mapping[str, Any]]:
    """Return the queues' mappings and the permissions, each of which names a function."""
    return [
        *of_type(made, "AWS::Lambda::EventSourceMapping").values(),
        *of_type(made, "AWS::Lambda::Permission").values(),
    ]


def test_new_code_makes_new_versions(
    template: Mapping[str, Any], made: Resources, on_the_way: set[str]
) -> None:
    """A layer that changes makes a version of each function with an alias; else nothing does."""
    versions = set(of_type(made, "AWS::Lambda::Version"))
    assert len(versions) == len(on_the_way)
    assert set(of_type(expanded(template), "AWS::Lambda::Version")) == versions
    changed = of_type(expanded(template, layer="two"), "AWS::Lambda::Version")
    assert len(changed) == len(versions)
    assert not versions & set(changed)


def test_a_gradual_deployment_turns_back_on_alarms(template: Mapping[str, Any]) -> None:
    """CodeDeploy moves every alias as the owner says, while alarms of this stack are quiet."""
    resources = expanded(template, GRADUAL)
    groups = of_type(resources, "AWS::CodeDeploy::DeploymentGroup")
    aliases = of_type(resources, "AWS::Lambda::Alias")
    assert len(groups) == len(aliases)
    alarms = of_type(resources, "AWS::CloudWatch::Alarm")
    for group in groups.values():
        properties = group["Properties"]
        named = [alarm["Name"]["Ref"] for alarm in properties["AlarmConfiguration"]["Alarms"]]
        assert set(named) < set(alarms)
        assert 1 <= len(named) <= 10, "CodeDeploy watches ten alarms at most"
        assert "DEPLOYMENT_STOP_ON_ALARM" in properties["AutoRollbackConfiguration"]["Events"]
        assert GRADUAL["Deployment"] in json.dumps(properties["DeploymentConfigName"])
        assert properties["ServiceRoleArn"] == {"Fn::GetAtt": ["DeploymentRole", "Arn"]}
    for alias in aliases.values():
        update = alias["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
        assert update["DeploymentGroupName"]["Ref"] in groups


def test_all_at_once_needs_no_codedeploy(made: Resources) -> None:
    """Unless it is asked for, nothing of CodeDeploy is deployed."""
    assert not [each for each in made.values() if each["Type"].startswith("AWS::CodeDeploy::")]
    assert not any("UpdatePolicy" in each for each in of_type(made, "AWS::Lambda::Alias").values())
    assert made["DeploymentRole"]["Condition"] == "IsGradual"


def test_a_stack_stays_within_cloudformation(template: Mapping[str, Any]) -> None:
    """With everything on there are fewer than CloudFormation's 500 resources, in less than 1 MB."""
    resources = expanded(template, GRADUAL | {"AlarmEmail": "owner@example.com"})
    assert len(resources) < 400
    assert len(json.dumps(resources)) < 900_000


# --- switches -----------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ["x86_64", "arm64"])
def test_the_owner_chooses_the_processor(template: Mapping[str, Any], architecture: str) -> None:
    """Functions and layers are for the processor that is asked for."""
    deployment = Deployment(template, {"Architecture": architecture})
    for function in deployment.functions.values():
        assert function.properties["Architectures"] == [architecture]
    for layer in deployment.resources("AWS::Serverless::LayerVersion").values():
        assert layer["Properties"]["CompatibleArchitectures"] == [architecture]


OPENAPI = json.loads(JSON_FILE.read_text())
SAFELISTED = {"cache-control", "content-type", "etag", "www-authenticate"}
"""Headers that scripts may read (Fetch, CORS-safelisted), or have no use for."""
ACCEPTS = {
    "submit_mail_classification",
    "submit_mail_generation",
    "create_text_generation",
    "send_chat_message",
    "generate_flow",
    "generate_prompt",
    "submit_query",
    "answer_query",
    "submit_generation",
}


@pytest.mark.parametrize("warm", ["0", "3"])
def test_what_accepts_requests_can_be_kept_warm(template: Mapping[str, Any], warm: str) -> None:
    """As many instances as asked for of each function that accepts, and of no other."""
    deployment = Deployment(template, {"ProvisionedConcurrency": warm})
    expected = (
        {}
        if warm == "0"
        else {folder: {"ProvisionedConcurrentExecutions": warm} for folder in ACCEPTS}
    )
    assert {
        folder: function.properties["ProvisionedConcurrencyConfig"]
        for folder, function in deployment.functions.items()
        if "ProvisionedConcurrencyConfig" in function.properties
    } == expected


@pytest.mark.parametrize("workers", ["0", "20"])
def test_workers_can_be_set_aside(template: Mapping[str, Any], workers: str) -> None:
    """As many workers as asked for have their capacity, and no more are started in vain."""
    function = Deployment(template, {"WorkerConcurrency": workers}).functions["generate"]
    reserved = function.properties.get("ReservedConcurrentExecutions")
    most = consumers(template, {"WorkerConcurrency": workers})["generate"]
    assert (reserved, most) == ((None, 500) if workers == "0" else ("20", "20"))


def consumers(template: Mapping[str, Any], parameters: Mapping[str, str]) -> dict[str, Any]:
    """Return the MaximumConcurrency of each function that a queue starts."""
    return {
        folder: source["ScalingConfig"]["MaximumConcurrency"]
        for folder, function in Deployment(template, parameters).functions.items()
        for source in function.queues
    }


def test_every_consumer_of_a_queue_has_a_bound(template: Mapping[str, Any]) -> None:
    """A backlog takes four fifths of an account's functions at most, and each consumer some."""
    sizes = template["Parameters"]["AccountConcurrency"]["AllowedValues"]
    assert list(template["Mappings"]["Consumers"]) == sizes
    for size in sizes:
        most = consumers(template, {"AccountConcurrency": size})
        assert most.keys() == {
            "generate",
            "deliver",
            "send_webhook",
            "intake",
            "dead_letter",
            "embed",
        }
        assert all(2 <= each <= 1000 for each in most.values())
        smallest = size == "10"  # six of the least that SQS takes
        assert sum(most.values()) <= (12 if smallest else 0.8 * int(size))


@pytest.mark.parametrize("instances", ["0", "40"])
def test_what_accepts_requests_can_be_set_aside(
    template: Mapping[str, Any], instances: str
) -> None:
    """As many instances as asked for are reserved for each function that accepts, and no other."""
    deployment = Deployment(template, {"ApiConcurrency": instances})
    assert {
        folder: function.properties["ReservedConcurrentExecutions"]
        for folder, function in deployment.functions.items()
        if "ReservedConcurrentExecutions" in function.properties
    } == ({} if instances == "0" else dict.fromkeys(ACCEPTS, instances))


def cors(template: Mapping[str, Any], origins: str) -> Mapping[str, Any]:
    """Return the API's CORS with these allowed origins, {} for none."""
    deployment = Deployment(template, {"AllowedOrigins": origins})
    (api,) = deployment.resources("AWS::Serverless::HttpApi").values()
    return api["Properties"].get("CorsConfiguration") or {}


def test_no_page_may_call_the_api_unless_its_origin_is_allowed(
    template: Mapping[str, Any], deployment: Deployment
) -> None:
    """No origin is allowed by default; an allowed one may use every method and header of ours."""
    assert cors(template, "") == {}
    allowed = cors(template, "https://a.example,http://localhost:3000")
    assert allowed["AllowOrigins"] == ["https://a.example", "http://localhost:3000"]
    methods = {
        route.partition(" ")[0]
        for function in deployment.functions.values()
        for route in function.operations
    }
    assert set(allowed["AllowMethods"]) == methods
    read = {
        header["name"].lower()
        for path in OPENAPI["paths"].values()
        for operation in path.values()
        if isinstance(operation, dict)
        for header in operation.get("parameters", ())
        if header["in"] == "header"
    }
    assert set(allowed["AllowHeaders"]) >= read | {"authorization", "content-type", "x-api-key"}
    sent = {
        name.lower()
        for path in OPENAPI["paths"].values()
        for operation in path.values()
        if isinstance(operation, dict)
        for answer in operation.get("responses", {}).values()
        for name in answer.get("headers", ())
    }
    assert set(allowed["ExposeHeaders"]) >= sent - SAFELISTED


def test_only_origins_can_be_allowed(template: Mapping[str, Any]) -> None:
    """An origin is a scheme and a host, without a path."""
    pattern = template["Parameters"]["AllowedOrigins"]["AllowedPattern"]
    for good in ("", "*", "https://a.example", "https://a.example,http://localhost:3000"):
        assert re.fullmatch(pattern, good)
    for bad in ("a.example", "https://a.example/", "https://*.example", "https://a.example,*"):
        assert not re.fullmatch(pattern, bad)


@pytest.mark.parametrize("mode", ["PassThrough", "Active"])
def test_tracing_is_off_unless_asked_for(template: Mapping[str, Any], mode: str) -> None:
    """Functions may write traces where X-Ray is on, and only there."""
    deployment = Deployment(template, {} if mode == "PassThrough" else {"Tracing": mode})
    for function in deployment.functions.values():
        assert function.properties["Tracing"] == mode
    policy = deployment.resources("AWS::IAM::ManagedPolicy")["WriteTelemetry"]
    assert ("xray" in json.dumps(policy)) is (mode == "Active")


def test_consumers_may_send_to_their_own_queues(deployment: Deployment) -> None:
    """Lambda does not take a batch's turns, tries and waits of others for a loop gone wild."""
    looping = {
        folder: function.properties["RecursiveLoop"]
        for folder, function in deployment.functions.items()
        if "RecursiveLoop" in function.properties
    }
    assert looping == dict.fromkeys(("intake", "generate", "send_webhook", "embed"), "Allow")
    sends = {
        folder
        for folder, function in deployment.functions.items()
        for source in function.queues
        if "sqs:SendMessage" in function.permissions[source["Queue"]]
    }
    assert sends == looping.keys()


def test_what_cannot_be_is_refused_before_it_is_deployed(template: Mapping[str, Any]) -> None:
    """CloudFormation refuses a gradual deployment without alarms, and a single worker.

    A provider of embeddings without a model, without a URL, beside a knowledge base, or with the
    least worker is refused.
    """
    gradual, model, memory, url, workers = template["Rules"].values()
    assert gradual["RuleCondition"] == {
        "Fn::Not": [{"Fn::Equals": [{"Ref": "Deployment"}, "AllAtOnce"]}]
    }
    (rule,) = gradual["Assertions"]
    assert rule["Assert"] == {"Fn::Equals": [{"Ref": "Monitoring"}, "true"]}
    (rule,) = workers["Assertions"]
    assert rule["Assert"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "WorkerConcurrency"}, "1"]}]}
    wanted, alone = model["Assertions"]
    assert wanted["Assert"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "EmbeddingModel"}, ""]}]}
    assert alone["Assert"] == {"Fn::Equals": [{"Ref": "KnowledgeBaseId"}, ""]}
    (rule,) = memory["Assertions"]
    assert rule["Assert"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "WorkerMemory"}, "256"]}]}
    (rule,) = url["Assertions"]
    assert rule["Assert"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "EmbeddingBaseUrl"}, ""]}]}
    for each in (gradual, model, memory, url, workers):
        assert all(assertion["AssertDescription"] for assertion in each["Assertions"])
    mapped = template["Mappings"]["Deployments"]
    assert list(mapped) == template["Parameters"]["Deployment"]["AllowedValues"]
    assert [name for name, value in mapped.items() if not value["Gradual"]] == ["AllAtOnce"]
