"""The long-lived objects of a process, each built once, when it is first needed."""

from functools import cache

from afterword import clients
from afterword.authentication import Authenticator
from afterword.payloads import Payloads
from afterword.queue import Queue
from afterword.registry import Registry
from afterword.settings import settings
from afterword.store import GenerationStore
from afterword.submission import Submitter
from afterword.sweeper import Sweeper


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
def submitter() -> Submitter:
    """Return the submitter."""
    return Submitter(registry(), store(), queue(), settings().retention_days)


@cache
def sweeper() -> Sweeper:
    """Return the sweeper."""
    return Sweeper(store(), queue())
