"""The long-lived objects of a process, each built once, when it is first needed.

What only some functions use is imported where it is built: imports are most of a cold start.
"""

from functools import cache, partial
from typing import TYPE_CHECKING

from afterword import clients
from afterword.authentication import Authenticator
from afterword.payloads import Payloads
from afterword.registry import Registry
from afterword.settings import settings
from afterword.store import GenerationStore

if TYPE_CHECKING:
    from afterword.batch_files import BatchFiles
    from afterword.batch_requests import BatchRequests
    from afterword.batch_store import BatchStore
    from afterword.content_store import ContentStore
    from afterword.endings import Endings
    from afterword.fetching import Fetcher
    from afterword.intake import Intake, Requests
    from afterword.knowledge import Knowledge
    from afterword.listings import Listings
    from afterword.metrics import Metrics
    from afterword.notifications import Bus, Notifier
    from afterword.queue import Queue
    from afterword.ranking import Ranking
    from afterword.statistics import Statistics
    from afterword.submission import Submitter
    from afterword.sweeper import Sweeper
    from afterword.usage import Usage
    from afterword.webhook_deliveries import WebhookDeliveries
    from afterword.webhook_endpoints import WebhookEndpoints
    from afterword.webhook_secrets import WebhookSecrets
    from afterword.webhook_sending import Sender
    from afterword.webhook_store import WebhookStore


@cache
def registry() -> Registry:
    """Return the registry of this deployment."""
    return Registry(clients.dynamodb(), settings().registry_table)


@cache
def authenticator() -> Authenticator:
    """Return the authenticator, with its cache of keys."""
    return Authenticator(registry())


@cache
def store() -> GenerationStore:
    """Return the store of generations."""
    payloads = Payloads(clients.s3, settings().bucket)
    return GenerationStore(clients.dynamodb(), settings().generations_table, payloads)


@cache
def listings() -> "Listings":
    """Return the lists of generations."""
    from afterword.listings import Listings

    payloads = Payloads(clients.s3, settings().bucket)
    return Listings(clients.dynamodb(), settings().generations_table, payloads)


@cache
def knowledge() -> "Knowledge":
    """Return what chooses passages of the knowledge base."""
    from afterword.knowledge import Knowledge

    return Knowledge(contents, ranking)


@cache
def contents() -> "ContentStore":
    """Return the store of contents."""
    from afterword.content_store import ContentStore

    payloads = Payloads(clients.s3, settings().contents_bucket)
    return ContentStore(clients.dynamodb(), settings().contents_table, payloads)


@cache
def ranking() -> "Ranking":
    """Return what ranks passages."""
    if knowledge_base_id := settings().knowledge_base_id:
        from afterword.bedrock_knowledge import BedrockRanking

        return BedrockRanking(clients.bedrock_agent_runtime, knowledge_base_id)
    from afterword.lexical import LexicalRanking

    return LexicalRanking(contents().candidates)


@cache
def queue() -> "Queue":
    """Return the worker's queue."""
    return _queue(settings().queue_url)


@cache
def endings() -> "Endings":
    """Return what ends generations."""
    from afterword.endings import Endings

    return Endings(store(), _usage(), _queue(settings().notify_queue_url), metrics())


def metrics() -> "Metrics":
    """Return what writes the metrics of generations."""
    from afterword.metrics import Metrics

    return Metrics(settings().stack, by_flow=settings().flow_metrics)


@cache
def submitter() -> "Submitter":
    """Return the submitter."""
    from afterword.admission import Limiter
    from afterword.submission import Submitter

    return Submitter(
        registry(),
        store(),
        queue(),
        Limiter(registry(), _usage(), store(), endings()),
        retention_days=settings().retention_days,
        notify=settings().event_bus is not None,
    )


@cache
def sweeper() -> "Sweeper":
    """Return the sweeper."""
    from afterword.sweeper import Sweeper

    return Sweeper(store(), queue(), endings())


@cache
def statistics() -> "Statistics":
    """Return what counts the generations that ended."""
    from afterword.statistics import Statistics

    return Statistics(clients.dynamodb(), settings().statistics_table, listings())


@cache
def batches() -> "BatchStore":
    """Return the store of batches."""
    from afterword.batch_store import BatchStore

    return BatchStore(clients.dynamodb(), settings().batches_table)


@cache
def batch_files() -> "BatchFiles":
    """Return the files and results of batches."""
    from afterword.batch_files import BatchFiles

    return BatchFiles(clients.s3, settings().batch_bucket)


@cache
def batch_requests() -> "BatchRequests":
    """Return what accepts batches that come over HTTP."""
    from afterword.batch_requests import BatchRequests

    return BatchRequests(batches(), batch_files(), retention_days=settings().retention_days)


def intake(requests: "Requests") -> "Intake":
    """Return what takes what comes in by itself, in a dialect."""
    from afterword.batch_runner import BatchRunner
    from afterword.intake import Intake

    return Intake(
        registry(),
        requests,
        submitter(),
        store=batches(),
        files=batch_files(),
        runner=BatchRunner(batches(), batch_files(), store(), submitter(), requests),
        queue=_queue(settings().intake_queue_url),
        dead_letters=_queue(settings().intake_dead_letters_url),
        retention_days=settings().retention_days,
    )


@cache
def fetcher() -> "Fetcher":
    """Return what fetches files from addresses that callers name."""
    from afterword.fetching import Fetcher

    return Fetcher(settings().fetch_allowed)


@cache
def notifier() -> "Notifier":
    """Return what makes the ends of generations known."""
    from afterword.notifications import Notifier

    return Notifier(store(), _bus(), webhook_deliveries())


@cache
def webhook_store() -> "WebhookStore":
    """Return the store of webhook endpoints and deliveries."""
    from afterword.webhook_store import WebhookStore

    return WebhookStore(clients.dynamodb(), settings().webhooks_table)


@cache
def webhook_endpoints() -> "WebhookEndpoints":
    """Return what an owner does with webhook endpoints."""
    from afterword.webhook_endpoints import WebhookEndpoints

    return WebhookEndpoints(registry(), webhook_store(), _webhook_secrets(), fetcher)


@cache
def webhook_deliveries() -> "WebhookDeliveries":
    """Return what begins deliveries of webhooks."""
    from afterword.webhook_deliveries import WebhookDeliveries

    return WebhookDeliveries(registry(), webhook_store(), _queue(settings().webhook_queue_url))


@cache
def webhook_sender() -> "Sender":
    """Return what sends webhooks."""
    from afterword.notifications import tell_disabled
    from afterword.webhook_sending import Sender

    return Sender(
        webhook_store(),
        _webhook_secrets(),
        fetcher(),
        _queue(settings().webhook_queue_url),
        retries=settings().webhook_retries,
        tell=partial(tell_disabled, bus=_bus()),
    )


def _webhook_secrets() -> "WebhookSecrets":
    from afterword.webhook_secrets import WebhookSecrets

    return WebhookSecrets(clients.ssm, settings().webhooks_table)


def _bus() -> "Bus | None":
    name = settings().event_bus
    if name is None:
        return None
    from afterword.notifications import Bus

    return Bus(clients.events(), name)


def _queue(url: str) -> "Queue":
    from afterword.queue import Queue

    return Queue(clients.sqs(), url)


def _usage() -> "Usage":
    from afterword.usage import Usage

    return Usage(clients.dynamodb(), settings().usage_table)
