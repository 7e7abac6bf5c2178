"""The request to each function: its event of `events/`, about things that the stub has."""

import json
import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3

from afterword import clock
from afterword.flows.drafts import Flow
from afterword.generations import Submission, SubmissionOptions
from afterword.generations.store import GenerationStore
from afterword.runtime.payloads import Payloads
from afterword.tenants.keys import Scope
from afterword.tenants.registry import Registry

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ROOT = Path(__file__).parent.parent
TENANT, FLOW, GENERATION = "demo", "mail-reply", "019a6f3e-7c00-7000-8000-000000000001"
"""The id in the events."""
ENDED = "019a6f3e-7c00-7000-8000-000000000002"
"""A generation that has ended, and is to be made known."""


@dataclass(frozen=True)
class Case:
    """A function of template.yaml, and the AWS clients that it cannot do without.

    `wants` is in its answer or in its calls when it has done its work. `generation` is the one it
    is asked about, None for the one that was submitted. `owner` says that a key for one flow is
    not enough.
    """

    name: str
    clients: tuple[str, ...]
    wants: str
    generation: str | None = None
    owner: bool = False

    @property
    def build_name(self) -> str:
        """Return the function's folder in SAM's build."""
        return self.name.title().replace("_", "") + "Function"

    def event(self, key: str, generation_id: str) -> dict[str, Any]:
        """Return the sample event, with a key and a generation that are there."""
        text = (ROOT / "events" / f"{self.name}.json").read_text()
        event: dict[str, Any] = json.loads(
            text.replace("API_KEY", key).replace(GENERATION, self.generation or generation_id)
        )
        return event


CASES = (
    Case("health", (), '"statusCode": 200'),
    Case("get_openapi", (), "content-encoding"),
    Case("get_docs", (), "content-encoding"),
    Case("get_docs_file", (), "content-encoding"),
    Case("submit_mail_generation", ("dynamodb", "sqs"), "process_cuid"),
    Case("get_mail_generation", ("dynamodb",), "external_metadata"),
    Case("get_stack_app", ("dynamodb",), "form_keys_data"),
    Case("list_text_generations", ("dynamodb",), "by_flow"),
    Case("create_text_generation", ("dynamodb", "sqs"), "meta_data"),
    Case("get_text_generation", ("dynamodb",), "meta_data"),
    Case("update_text_generation", ("dynamodb",), "#title = "),
    Case("submit_generation", ("dynamodb", "sqs"), "/v1/generations/"),
    Case("get_generation", ("dynamodb",), "flow_version"),
    Case("list_generations", ("dynamodb",), "by_flow"),
    Case("cancel_generation", ("dynamodb", "sqs"), "canceled"),
    Case("delete_generation", ("dynamodb",), "deleted_at", ENDED),
    Case("retry_generation", ("dynamodb", "sqs"), "retry_of", ENDED),
    Case("get_flow_log", ("dynamodb",), "logId"),
    Case("rate_flow_log", ("dynamodb",), "#rating = "),
    Case("submit_query", ("dynamodb", "sqs"), "questionId"),
    Case("get_answer", ("dynamodb",), "PENDING"),
    Case("list_folders", ("dynamodb",), "foldersCount", owner=True),
    Case("list_flows", ("dynamodb",), "flow#", owner=True),
    Case("get_flow", ("dynamodb",), "instructions", owner=True),
    Case("put_flow", ("dynamodb",), "warnings", owner=True),
    Case("list_flow_versions", ("dynamodb",), "version#", owner=True),
    Case("list_keys", ("dynamodb",), "key#", owner=True),
    Case("create_key", ("dynamodb",), "aw_", owner=True),
    Case("revoke_key", ("dynamodb",), '"statusCode": 204', owner=True),
    Case("get_usage", ("dynamodb",), "by_end", owner=True),
    Case("count_usage", ("dynamodb",), "counted"),
    Case("list_webhooks", ("dynamodb",), r"\"webhooks\"", owner=True),
    Case("send_webhook", ("dynamodb",), "webhooks"),
    Case("get_batch", ("dynamodb",), "no such batch"),
    Case("intake", ("dynamodb", "sqs"), "case-457"),
    Case("generate", ("dynamodb", "sqs"), "succeeded"),
    Case("dead_letter", ("dynamodb", "sqs"), "dead_letter"),
    Case("deliver", ("dynamodb", "events"), "GenerationFinished", ENDED),
    Case("sweep", ("dynamodb", "sqs"), "by_due"),
)


def environment(url: str) -> dict[str, str]:
    """Return a function's environment, with the stub at `url` as AWS and as the model."""
    return {
        "PATH": os.defpath,
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",  # the stub takes any # nosec B105
        "AWS_SESSION_TOKEN": "bench",  # the stub takes any # nosec B105
        "AWS_ENDPOINT_URL": url,
        "AFTERWORD_STACK": "bench",
        "AFTERWORD_CONNECT_AT_START": "true",
        "AFTERWORD_FLOW_METRICS": "true",
        "AFTERWORD_GENERATIONS_TABLE": "generations",
        "AFTERWORD_REGISTRY_TABLE": "registry",
        "AFTERWORD_QUOTAS_TABLE": "quotas",
        "AFTERWORD_STATISTICS_TABLE": "statistics",
        "AFTERWORD_CONTENTS_TABLE": "contents",
        "AFTERWORD_CONTENTS_BUCKET": "bench",
        "AFTERWORD_WEBHOOKS_TABLE": "webhooks",
        "AFTERWORD_WEBHOOK_QUEUE_URL": f"{url}/000000000000/webhooks",
        "AFTERWORD_WEBHOOK_RETRIES": "5",
        "AFTERWORD_EVENT_BUS": "default",
        "AFTERWORD_BATCHES_TABLE": "batches",
        "AFTERWORD_BATCH_BUCKET": "bench",
        "AFTERWORD_BATCH_HOURS": "24",
        "AFTERWORD_INTAKE_QUEUE_URL": f"{url}/000000000000/intake",
        "AFTERWORD_INTAKE_DEAD_LETTERS_URL": f"{url}/000000000000/intake-dead-letters",
        "AFTERWORD_NOTIFY_QUEUE_URL": f"{url}/000000000000/notify",
        "AFTERWORD_QUEUE_URL": f"{url}/000000000000/work",
        "AFTERWORD_BUCKET": "bench",
        "AFTERWORD_RETENTION_DAYS": "30",
        "AFTERWORD_WORKER_GENERATIONS": "50",
        "AFTERWORD_MODEL_PROVIDER": "openai",
        "AFTERWORD_MODEL_ID": "instant",
        "AFTERWORD_MODEL_URL": f"{url}/v1",
        "POWERTOOLS_SERVICE_NAME": "bench",
        "POWERTOOLS_LOG_LEVEL": "INFO",
    }


def populate(url: str) -> tuple[str, str]:
    """Create the tenant and its flow at the stub, the way the command line does.

    Returns a key for the flow, and one for all that the tenant has.
    """
    dynamodb = boto3.client(
        "dynamodb",
        endpoint_url=url,
        region_name="eu-west-1",
        aws_access_key_id="bench",
        aws_secret_access_key="bench",  # noqa: S106 - the stub takes any # nosec B106
    )
    registry = Registry(dynamodb, "registry")
    registry.create_tenant(TENANT, "Demo")
    step = {"name": "reply", "instructions": "Answer the mail politely.", "max_tokens": 300}
    flow = Flow.model_validate({"id": FLOW, "name": "Replies", "steps": [step]})
    registry.put_flow(TENANT, FLOW, flow.model_dump_json())
    _put_ended(dynamodb)
    _put_counted(dynamodb)
    scopes = [Scope.SUBMIT, Scope.READ]
    return (
        registry.create_key(TENANT, scopes, "bench", FLOW)[1],
        registry.create_key(TENANT, Scope, "bench")[1],
    )


def _put_ended(dynamodb: "DynamoDBClient") -> None:
    submission = Submission(
        dialect="dialonce", flow=FLOW, inputs={"body": "Hello"}, template=None, external={}
    )
    options = SubmissionOptions(flow_version=1, retention=timedelta(days=30), notify=True)
    payloads = Payloads(lambda: boto3.client("s3"), "bench")
    GenerationStore(dynamodb, "generations", payloads).put(TENANT, ENDED, submission, options)
    key = {"pk": {"S": f"{TENANT}#{ENDED}"}}
    item = dynamodb.get_item(TableName="generations", Key=key)["Item"]
    item |= {"status": {"S": "canceled"}, "finished_at": item["created_at"]}
    dynamodb.put_item(TableName="generations", Item=item)


def _put_counted(dynamodb: "DynamoDBClient") -> None:
    """Note that all usage is counted up to now, as it is while the count runs."""
    until = str(clock.to_millis(clock.now()))
    item = {"pk": {"S": "#"}, "sk": {"S": "counted"}, "until": {"N": until}}
    dynamodb.put_item(TableName="statistics", Item=item)
