"""The long-lived objects of a process, each built once, when it is first needed."""

from functools import cache

from afterword import clients
from afterword.authentication import Authenticator
from afterword.endings import Endings
from afterword.limits import Limiter
from afterword.notifications import Notifier
from afterword.payloads import Payloads
from afterword.queue import Queue
from afterword.registry import Registry
from afterword.settings import settings
from afterword.store import GenerationStore
from afterword.submission import Submitter
from afterword.sweeper import Sweeper
from afterword.usage import Usage


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
def queue() -> Queue:
    """Return the worker's queue."""
    return Queue(clients.sqs(), settings().queue_url)


@cache
def endings() -> Endings:
    """Return what ends generations."""
    notices = Queue(clients.sqs(), settings().notify_queue_url)
    return Endings(store(), _usage(), notices)


@cache
def submitter() -> Submitter:
    """Return the submitter."""
    return Submitter(
        registry(),
        store(),
        queue(),
        Limiter(registry(), _usage(), store(), endings()),
        retention_days=settings().retention_days,
        notify=settings().event_bus is not None,
    )


@cache
def sweeper() -> Sweeper:
    """Return the sweeper."""
    return Sweeper(store(), queue(), endings())


@cache
def notifier() -> Notifier:
    """Return what makes the ends of generations known."""
    return Notifier(store(), clients.events(), settings().event_bus or "default")


def _usage() -> Usage:
    return Usage(clients.dynamodb(), settings().usage_table)
