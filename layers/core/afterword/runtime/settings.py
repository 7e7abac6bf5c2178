"""The settings of the functions, and the only reader of the environment."""

import os
from collections.abc import Mapping
from typing import Self

from afterword.records import dataclass


class MissingSettingError(RuntimeError):
    """A required setting that the environment lacks."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The functions' environment; a required setting is read when used.

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
        """URL of the SQS queue of the worker's messages."""
        return self._required("AFTERWORD_QUEUE_URL")

    @property
    def quotas_table(self) -> str:
        """Name of the DynamoDB table of quotas."""
        return self._required("AFTERWORD_QUOTAS_TABLE")

    @property
    def statistics_table(self) -> str:
        """Name of the DynamoDB table of usage statistics."""
        return self._required("AFTERWORD_STATISTICS_TABLE")

    @property
    def notify_queue_url(self) -> str:
        """URL of the SQS queue of ends to publish."""
        return self._required("AFTERWORD_NOTIFY_QUEUE_URL")

    @property
    def event_bus(self) -> str | None:
        """Name of the EventBridge bus for ends; None without one."""
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
    def batch_hours(self) -> int:
        """Hours from a batch's creation to its end, where its request sets no deadline."""
        return int(self._required("AFTERWORD_BATCH_HOURS"))

    @property
    def intake_queue_url(self) -> str:
        """URL of the SQS queue of the intake: events, and files of batches."""
        return self._required("AFTERWORD_INTAKE_QUEUE_URL")

    @property
    def intake_dead_letters_url(self) -> str:
        """URL of the SQS queue of the intake's dead letters."""
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
        """Id of the Amazon Bedrock knowledge base that ranks passages; None to rank by words."""
        return self.environ.get("AFTERWORD_KNOWLEDGE_BASE_ID") or None

    @property
    def stores_indexes(self) -> bool:
        """Whether the contents' bucket keeps the indexes of selections for all workers."""
        return self.environ.get("AFTERWORD_STORED_INDEXES") == "true"

    @property
    def embedding_provider(self) -> str | None:
        """The provider of the embedding model, as for `model_provider`; None to rank by words."""
        return self.environ.get("AFTERWORD_EMBEDDING_PROVIDER") or None

    @property
    def embedding_model(self) -> str:
        """The embedding model's name at its provider."""
        return self._required("AFTERWORD_EMBEDDING_MODEL")

    @property
    def embedding_url(self) -> str:
        """Base URL of an OpenAI-compatible API with embeddings, with its version (`…/v1`)."""
        return self._required("AFTERWORD_EMBEDDING_URL")

    @property
    def embedding_api_key_secret_arn(self) -> str | None:
        """Secrets Manager ARN of that API's key; None for an API without one."""
        return self.environ.get("AFTERWORD_EMBEDDING_API_KEY_SECRET_ARN") or None

    @property
    def embedding_floor(self) -> float | None:
        """The least similarity of a question and a passage; None for the model's own."""
        text = self.environ.get("AFTERWORD_EMBEDDING_FLOOR")
        return float(text) if text else None

    @property
    def embed_queue_url(self) -> str | None:
        """URL of the SQS queue of contents to embed; None without an embedding model."""
        return self.environ.get("AFTERWORD_EMBED_QUEUE_URL") or None

    @property
    def vector_index_arn(self) -> str | None:
        """ARN of the Amazon S3 vector index of passages; None to compare them in the worker."""
        return self.environ.get("AFTERWORD_VECTOR_INDEX_ARN") or None

    @property
    def fetch_allowed(self) -> frozenset[str]:
        """Hosts with their ports for outbound requests to private addresses, also by HTTP."""
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
        """Seconds to wait after each failed try; the delivery fails after the last."""
        return tuple(map(int, self._required("AFTERWORD_WEBHOOK_RETRIES").split(",")))

    @property
    def retention_days(self) -> int:
        """Days from a generation's submission to its expiry."""
        return int(self._required("AFTERWORD_RETENTION_DAYS"))

    @property
    def compact_items(self) -> bool:
        """Whether generations are stored compressed, and longer requests as items of their own."""
        return self.environ.get("AFTERWORD_COMPACT_ITEMS") != "false"

    @property
    def flow_cache_seconds(self) -> float:
        """Seconds for which a submission may use a flow as it was read before; 0 outside of AWS."""
        return float(self.environ.get("AFTERWORD_FLOW_CACHE_SECONDS") or 0)

    @property
    def stack(self) -> str:
        """Name of the CloudFormation stack."""
        return self._required("AFTERWORD_STACK")

    @property
    def trusts_amazon_alone(self) -> bool:
        """Whether AWS is called at its own endpoints, and need show no other certificates there.

        False also with AWS_CA_BUNDLE or an endpoint's URL, which are settings of AWS's SDKs.
        """
        own = (
            name
            for name, value in self.environ.items()
            if value and (name == "AWS_CA_BUNDLE" or name.startswith("AWS_ENDPOINT_URL"))
        )
        return self.environ.get("AFTERWORD_AMAZON_ROOTS") == "true" and not any(own)

    @property
    def connects_at_start(self) -> bool:
        """Whether a function opens its connections when Lambda starts it, before any request."""
        return self.environ.get("AFTERWORD_CONNECT_AT_START") == "true"

    @property
    def flow_metrics(self) -> bool:
        """Whether flows and models have metrics of their own, beside those of the stack."""
        return self.environ.get("AFTERWORD_FLOW_METRICS") == "true"

    @property
    def worker_generations(self) -> int:
        """The generations that a worker runs at once; with ten, those of its batch alone."""
        return int(self._required("AFTERWORD_WORKER_GENERATIONS"))

    @property
    def memory(self) -> int | None:
        """The function's memory in MB, which Lambda sets; None outside of Lambda."""
        text = self.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        return int(text) if text else None

    @property
    def model_provider(self) -> str:
        """The model's provider: `bedrock`, or `openai` for APIs like OpenAI's chat completions."""
        return self._required("AFTERWORD_MODEL_PROVIDER")

    @property
    def model_id(self) -> str:
        """The model's name at its provider, for steps without one."""
        return self._required("AFTERWORD_MODEL_ID")

    @property
    def default_model(self) -> str | None:
        """The same name, where a process may not know it, as on the command line; else None."""
        return self.environ.get("AFTERWORD_MODEL_ID") or None

    @property
    def model_url(self) -> str:
        """Base URL of an OpenAI-compatible API, up to and including its version (`…/v1`)."""
        return self._required("AFTERWORD_MODEL_URL")

    @property
    def model_api_key_secret_arn(self) -> str | None:
        """Secrets Manager ARN of the OpenAI-compatible API's key; None for an API without one."""
        return self.environ.get("AFTERWORD_MODEL_API_KEY_SECRET_ARN") or None
