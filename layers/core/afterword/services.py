"""The long-lived objects of a process, each built once, when it is first needed.

What only some functions use is imported where it is built: imports are most of a cold start.
"""

from functools import cache
from typing import TYPE_CHECKING

from afterword import clients
from afterword.authentication import Authenticator
from afterword.payloads import Payloads
from afterword.registry import Registry
from afterword.settings import settings
from afterword.store import GenerationStore

if TYPE_CHECKING:
    from afterword.endings import Endings
    from afterword.notifications import Notifier
    from afterword.queue import Queue
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
def queue() -> "Queue":
    """Return the worker's queue."""
    return _queue(settings().queue_url)


@cache
def endings() -> "Endings":
    """Return what ends generations."""
    from afterword.endings import Endings

    return Endings(store(), _usage(), _queue(settings().notify_queue_url))


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
def notifier() -> "Notifier":
    """Return what makes the ends of generations known."""
    from afterword.notifications import Notifier

    return Notifier(store(), clients.events(), settings().event_bus or "default")


def _queue(url: str) -> "Queue":
    from afterword.queue import Queue

    return Queue(clients.sqs(), url)


def _usage() -> "Usage":
    from afterword.usage import Usage

    return Usage(clients.dynamodb(), settings().usage_table)
