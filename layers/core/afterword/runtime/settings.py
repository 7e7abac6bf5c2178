"""The settings of the functions, read from the environment here and nowhere else."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self


class MissingSettingError(RuntimeError):
    """A setting that this function cannot do without is not in its environment."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The functions' environment. A required setting is read when used and names itself if missing.

    template.yaml gives all functions the names of resources, and each the other settings it uses.
    """

    environ: Mapping[str, str]

    @classmethod
    def from_environment(cls) -> Self:
        """Return the settings of this process."""
        return cls(os.environ)

    def _required(self, name: str) -> str:
        value = self.environ.get(name, "")
        if not value:
            raise MissingSettingError(f"{name} is not set: template.yaml gives it to each function")
        return value

    @property
    def generations_table(self) -> str:
        """Name of the DynamoDB table of generations."""
        return self._required("AFTERWORD_GENERATIONS_TABLE")

    @property
    def registry_table(self) -> str:
        """Name of the DynamoDB table of tenants, keys and flows."""
        return self._required("AFTERWORD_REGISTRY_TABLE")

    @property
    def queue_url(self) -> str:
        """URL of the SQS queue that messages the worker."""
        return self._required("AFTERWORD_QUEUE_URL")

    @property
    def quotas_table(self) -> str:
        """Name of the DynamoDB table of the quotas that tenants with limits have used."""
        return self._required("AFTERWORD_QUOTAS_TABLE")

    @property
    def statistics_table(self) -> str:
        """Name of the DynamoDB table of what tenants have used, by day."""
        return self._required("AFTERWORD_STATISTICS_TABLE")

    @property
    def notify_queue_url(self) -> str:
        """URL of the SQS queue of generations whose end is to be made known."""
        return self._required("AFTERWORD_NOTIFY_QUEUE_URL")

    @property
    def event_bus(self) -> str | None:
        """Name of the EventBridge bus that hears of each end; None for none."""
        return self.environ.get("AFTERWORD_EVENT_BUS") or None

    @property
    def bucket(self) -> str:
        """Name of the S3 bucket for texts too big for an item."""
        return self._required("AFTERWORD_BUCKET")

    @property
    def batches_table(self) -> str:
        """Name of the DynamoDB table of batches."""
        return self._required("AFTERWORD_BATCHES_TABLE")

    @property
    def batch_bucket(self) -> str:
        """Name of the S3 bucket of batches: their files and their results."""
        return self._required("AFTERWORD_BATCH_BUCKET")

    @property
    def intake_queue_url(self) -> str:
        """URL of the SQS queue of what comes in by itself."""
        return self._required("AFTERWORD_INTAKE_QUEUE_URL")

    @property
    def intake_dead_letters_url(self) -> str:
        """URL of the SQS queue of what came in and can never be taken."""
        return self._required("AFTERWORD_INTAKE_DEAD_LETTERS_URL")

    @property
    def contents_table(self) -> str:
        """Name of the DynamoDB table of the knowledge base's contents."""
        return self._required("AFTERWORD_CONTENTS_TABLE")

    @property
    def contents_bucket(self) -> str:
        """Name of the S3 bucket of the contents' texts."""
        return self._required("AFTERWORD_CONTENTS_BUCKET")

    @property
    def knowledge_base_id(self) -> str | None:
        """Id of the Amazon Bedrock knowledge base that ranks passages; None to rank here."""
        return self.environ.get("AFTERWORD_KNOWLEDGE_BASE_ID") or None

    @property
    def fetch_allowed(self) -> frozenset[str]:
        """Hosts with their ports that files may be fetched from wherever they are, by HTTP too."""
        hosts = self.environ.get("AFTERWORD_FETCH_ALLOWED", "").lower().split(",")
        return frozenset(host.strip() for host in hosts if host.strip())

    @property
    def webhooks_table(self) -> str:
        """Name of the DynamoDB table of webhook endpoints and their deliveries."""
        return self._required("AFTERWORD_WEBHOOKS_TABLE")

    @property
    def webhook_queue_url(self) -> str:
        """URL of the SQS queue of webhook deliveries."""
        return self._required("AFTERWORD_WEBHOOK_QUEUE_URL")

    @property
    def webhook_retries(self) -> tuple[int, ...]:
        """Seconds to wait after each failed try of a delivery; after the last it is given up."""
        return tuple(map(int, self._required("AFTERWORD_WEBHOOK_RETRIES").split(",")))

    @property
    def retention_days(self) -> int:
        """How many days a generation is kept after it was submitted."""
        return int(self._required("AFTERWORD_RETENTION_DAYS"))

    @property
    def stack(self) -> str:
        """Name of the CloudFormation stack that this is deployed as."""
        return self._required("AFTERWORD_STACK")

    @property
    def flow_metrics(self) -> bool:
        """Whether there are metrics of each flow and each model, beside those of the stack."""
        return self.environ.get("AFTERWORD_FLOW_METRICS") == "true"

    @property
    def model_provider(self) -> str:
        """The model's provider: `bedrock` or `openai` (anything that speaks OpenAI's chat API)."""
        return self._required("AFTERWORD_MODEL_PROVIDER")

    @property
    def model_id(self) -> str:
        """The model's name at its provider, for flows that name none."""
        return self._required("AFTERWORD_MODEL_ID")

    @property
    def model_url(self) -> str:
        """Base URL of an OpenAI-compatible API, up to and including its version (`…/v1`)."""
        return self._required("AFTERWORD_MODEL_URL")

    @property
    def model_api_key_secret_arn(self) -> str | None:
        """Secrets Manager ARN of the OpenAI-compatible API's key; None for an API without one."""
        return self.environ.get("AFTERWORD_MODEL_API_KEY_SECRET_ARN") or None
