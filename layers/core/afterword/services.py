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
    from afterword.content_store import ContentStore
    from afterword.endings import Endings
    from afterword.fetching import Fetcher
    from afterword.knowledge import Knowledge
    from afterword.languages import Languages
    from afterword.notifications import Notifier
    from afterword.queue import Queue
    from afterword.ranking import Ranking
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
def fetcher() -> "Fetcher":
    """Return what fetches files from addresses that callers name."""
    from afterword.fetching import Fetcher

    return Fetcher(settings().fetch_allowed)


@cache
def languages() -> "Languages":
    """Return what tells languages."""
    from afterword.languages import Languages

    return Languages()


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
