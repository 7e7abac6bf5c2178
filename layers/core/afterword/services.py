"""The composition root: the long-lived objects of a process, each built when first used.

Functions, the command line and the tests build the same objects here. A module that only some
functions use is imported where its object is built: imports are most of a cold start.
"""

from datetime import timedelta
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING

from afterword.generations import FailedError, Reason
from afterword.generations.store import GenerationStore
from afterword.runtime.clients import Clients, clients, connect
from afterword.runtime.payloads import Payloads
from afterword.runtime.settings import Settings
from afterword.tenants.authentication import Authenticator
from afterword.tenants.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from afterword.batches import BatchTerms
    from afterword.batches.files import BatchFiles
    from afterword.batches.intake import Intake, Requests
    from afterword.batches.requests import BatchRequests
    from afterword.batches.store import BatchStore
    from afterword.engine.admission import Limiter
    from afterword.engine.attempts import Worker
    from afterword.engine.feedback import FeedbackKeeper
    from afterword.engine.metrics import Metrics
    from afterword.engine.model_access import ModelAccess
    from afterword.engine.notifications import Bus, Notifier
    from afterword.engine.orphans import OrphanSweeper
    from afterword.engine.outbox import Outbox
    from afterword.engine.submission import Submitter
    from afterword.engine.sweeper import Sweeper
    from afterword.engine.waiting import Waiter
    from afterword.generations.listings import Listings
    from afterword.generations.sessions import SessionStore
    from afterword.knowledge.embedder import Embedder
    from afterword.knowledge.meaning import Meaning
    from afterword.knowledge.ranking import Ranking, RankingKind
    from afterword.knowledge.selection import Knowledge
    from afterword.knowledge.store import ContentStore
    from afterword.knowledge.vector_index import VectorIndex
    from afterword.knowledge.vector_store import VectorStore
    from afterword.limits.quotas import Quotas
    from afterword.limits.reads import ReadMeter
    from afterword.limits.requests import RequestMeter
    from afterword.models import Model
    from afterword.models.embeddings import EmbeddingModel
    from afterword.runtime.cold_start import Connect
    from afterword.runtime.outbound import Fetcher
    from afterword.runtime.queue import Queue
    from afterword.tenants.rules import TenantRules
    from afterword.usage.statistics import Statistics
    from afterword.webhooks.circuits import CircuitStore
    from afterword.webhooks.deliveries import WebhookDeliveries
    from afterword.webhooks.endpoints import WebhookEndpoints
    from afterword.webhooks.replays import WebhookReplays
    from afterword.webhooks.secrets import WebhookSecrets
    from afterword.webhooks.sending import Sender
    from afterword.webhooks.store import WebhookStore
    from afterword.webhooks.sweeping import DeliverySweeper


class Services:
    """The objects of one process, over its clients and settings.

    `has_metrics` is false where no log is collected, as on the command line.
    """

    def __init__(self, clients: Clients, settings: Settings, *, has_metrics: bool = True) -> None:
        self._clients = clients
        self.settings = settings
        self.has_metrics = has_metrics

    def prepare(self, *, submits: bool) -> "Sequence[Connect]":
        """Build what each endpoint needs; return the calls that open the connections.

        The role of each endpoint may read a key by its id, and no key has this one. A role that
        may send to the queue has no call without an effect: the connection is opened alone.
        """
        if not self.settings.connects_at_start:
            return ()
        self.authenticator  # noqa: B018 - built here
        read_no_key = partial(self.registry.get_key, "")
        if not submits:
            return (read_no_key,)
        self.submitter, self.waiter  # noqa: B018 - built here
        return (read_no_key, partial(connect, self._clients.sqs))

    def prepare_worker(self) -> "Sequence[Connect]":
        """Build the worker; return the calls that open its connections to AWS."""
        if not self.settings.connects_at_start:
            return ()
        self.worker  # noqa: B018 - built here
        return (partial(connect, self._clients.dynamodb), partial(connect, self._clients.sqs))

    # --- tenants and generations -----------------------------------------------------------------

    @cached_property
    def registry(self) -> Registry:
        """Tenants, API keys and flows."""
        seconds = self.settings.flow_cache_seconds
        return Registry(self._clients.dynamodb, self.settings.registry_table, flow_seconds=seconds)

    @cached_property
    def authenticator(self) -> Authenticator:
        """The authenticator, with its cache of keys."""
        return Authenticator(self.registry)

    @cached_property
    def store(self) -> GenerationStore:
        """Generations, one at a time."""
        table = self.settings.generations_table
        compact = self.settings.compact_items
        return GenerationStore(self._clients.dynamodb, table, self._payloads, compact=compact)

    @cached_property
    def listings(self) -> "Listings":
        """Generations as lists."""
        from afterword.generations.listings import Listings

        table = self.settings.generations_table
        return Listings(self._clients.dynamodb, table, self._payloads)

    @cached_property
    def chat_sessions(self) -> "SessionStore":
        """Chat sessions."""
        from afterword.generations.sessions import SessionStore

        return SessionStore(
            self._clients.dynamodb,
            self.settings.generations_table,
            self.listings,
            retention_days=self.settings.retention_days,
        )

    @cached_property
    def _payloads(self) -> Payloads:
        return Payloads(lambda: self._clients.s3, self.settings.bucket)

    # --- knowledge -------------------------------------------------------------------------------

    @cached_property
    def contents(self) -> "ContentStore":
        """Contents of the knowledge base."""
        from afterword.knowledge.store import ContentStore

        return ContentStore(
            self._clients.dynamodb,
            self.settings.contents_table,
            self._contents_payloads,
            None if self.embed_queue is None else self.embed_queue.send,
        )

    @cached_property
    def _contents_payloads(self) -> Payloads:
        return Payloads(lambda: self._clients.s3, self.settings.contents_bucket)

    @cached_property
    def embed_queue(self) -> "Queue | None":
        """The queue of contents to embed; None without an embedding model."""
        url = self.settings.embed_queue_url
        return None if url is None else self._queue(url)

    @property
    def ranks_by_meaning(self) -> bool:
        """Whether the deployment can rank passages by meaning."""
        return bool(self.settings.embedding_provider or self.settings.knowledge_base_id)

    @cached_property
    def ranking(self) -> "Ranking":
        """The ranking of passages: Bedrock's with a knowledge base, else by words."""
        if knowledge_base_id := self.settings.knowledge_base_id:
            from afterword.knowledge.bedrock import BedrockRanking

            return BedrockRanking(lambda: self._clients.bedrock_agent_runtime, knowledge_base_id)
        from afterword.knowledge.lexical import LexicalRanking, MemoryIndexes

        if self.settings.stores_indexes:
            from afterword.knowledge.index_files import IndexFiles

            return LexicalRanking(IndexFiles(self.contents, self._contents_payloads))
        return LexicalRanking(MemoryIndexes(self.contents.read_candidates))

    @cached_property
    def semantic_ranking(self) -> "Ranking":
        """The ranking of passages by meaning."""
        from afterword.knowledge.meaning import SemanticRanking

        return SemanticRanking(self._meaning)

    @cached_property
    def hybrid_ranking(self) -> "Ranking":
        """The ranking of passages by words and by meaning."""
        from afterword.knowledge.hybrid import HybridRanking

        return HybridRanking(self.ranking, self._meaning)

    def _build_ranking(self, kind: "RankingKind") -> "Ranking":
        """Return the ranking of a kind; a knowledge base of Bedrock stands for all kinds.

        Raises FailedError for a ranking that the deployment does not have.
        """
        if kind == "lexical" or self.settings.knowledge_base_id:
            return self.ranking
        if self.settings.embedding_provider is None:
            raise FailedError(
                Reason.KNOWLEDGE_UNAVAILABLE,
                f"The deployment has no embedding model for the ranking {kind}: change the flow's"
                " context.ranking, or have its owner set the stack's parameter EmbeddingProvider.",
            )
        return self.semantic_ranking if kind == "semantic" else self.hybrid_ranking

    @cached_property
    def embedding_model(self) -> "EmbeddingModel":
        """The deployment's embedding model."""
        from afterword.models.provider import build_embedding_model

        return build_embedding_model(self.settings, self._clients)

    @cached_property
    def _meaning(self) -> "Meaning":
        from afterword.knowledge.meaning import Meaning, VectorCache

        model = self.embedding_model
        nearest = self._vector_index or VectorCache(self.vectors.read, model.name)
        return Meaning(model, nearest, self.contents.read_passages)

    @cached_property
    def vectors(self) -> "VectorStore":
        """The vectors of contents."""
        from afterword.knowledge.vector_store import VectorStore

        table = self.settings.contents_table
        return VectorStore(self._clients.dynamodb, table, self._contents_payloads)

    @cached_property
    def _vector_index(self) -> "VectorIndex | None":
        arn = self.settings.vector_index_arn
        if arn is None:
            return None
        from afterword.knowledge.vector_index import VectorIndex

        return VectorIndex(lambda: self._clients.s3vectors, arn, self.embedding_model.name)

    @cached_property
    def embedder(self) -> "Embedder":
        """The embedder of contents."""
        from afterword.knowledge.embedder import Embedder

        assert self.embed_queue is not None  # noqa: S101 - the embedder consumes it
        return Embedder(
            self.contents, self.vectors, self.embedding_model, self.embed_queue, self._vector_index
        )

    @cached_property
    def knowledge(self) -> "Knowledge":
        """The selection of passages."""
        from afterword.knowledge.selection import Knowledge

        return Knowledge(lambda: self.contents, self._build_ranking)

    # --- the engine ------------------------------------------------------------------------------

    @cached_property
    def queue(self) -> "Queue":
        """The worker's queue."""
        return self._queue(self.settings.queue_url)

    @cached_property
    def quotas(self) -> "Quotas":
        """The use of tenants' limits."""
        from afterword.limits.quotas import Quotas

        return Quotas(self._clients.dynamodb, self.settings.quotas_table)

    @cached_property
    def rules(self) -> "TenantRules":
        """The tenants' rules, kept for a minute."""
        from afterword.tenants.rules import TenantRules

        return TenantRules(self.registry)

    @cached_property
    def reads(self) -> "ReadMeter":
        """The counts of tenants with a limit of reads."""
        from afterword.limits.reads import ReadMeter

        return ReadMeter(self.quotas)

    @cached_property
    def request_meter(self) -> "RequestMeter":
        """The counts of flows and keys with a limit of their own."""
        from afterword.limits.requests import RequestMeter

        return RequestMeter(self.quotas)

    @cached_property
    def limiter(self) -> "Limiter":
        """The admission of submissions."""
        from afterword.engine.admission import Limiter

        return Limiter(self.rules, self.quotas, self.request_meter, self.store, self.outbox)

    @cached_property
    def metrics(self) -> "Metrics":
        """The metrics of generations, as lines of the log."""
        from afterword.engine.metrics import Metrics

        return Metrics(self.settings.stack, by_flow=self.settings.flow_metrics)

    @cached_property
    def outbox(self) -> "Outbox":
        """The one way to end a generation."""
        from afterword.engine.outbox import Outbox

        messages = self._queue(self.settings.notify_queue_url)
        metrics = self.metrics if self.has_metrics else None
        return Outbox(self.store, self.quotas, messages, metrics)

    @cached_property
    def model_access(self) -> "ModelAccess":
        """The models that tenants may use."""
        from afterword.engine.model_access import ModelAccess

        return ModelAccess(self.rules, self.settings.default_model)

    @cached_property
    def submitter(self) -> "Submitter":
        """The one way to submit, the tenants' limits included."""
        from afterword.engine.submission import Submitter

        return Submitter(
            self.registry,
            self.rules,
            self.store,
            self.queue,
            self.limiter,
            retention_days=self.settings.retention_days,
            notify=self.settings.event_bus is not None,
        )

    @cached_property
    def waiter(self) -> "Waiter":
        """The wait for ends, for endpoints that answer with the text."""
        from afterword.engine.waiting import Waiter

        return Waiter(self.store, self.quotas, self.rules)

    @cached_property
    def model(self) -> "Model":
        """The deployment's model; raises UnknownProviderError for an unknown provider."""
        from afterword.models.provider import build_model

        return build_model(self.settings, self._clients)

    @cached_property
    def worker(self) -> "Worker":
        """The worker, with all its objects built before any thread runs."""
        from afterword.engine.attachments import DOCUMENT_MEGABYTES
        from afterword.engine.attempts import Worker
        from afterword.engine.prompting import Prompter
        from afterword.engine.repairs import Repairs
        from afterword.engine.top_up import Room

        memory = self.settings.memory
        prompter = Prompter(
            self.store,
            self.listings,
            self.knowledge,
            self.model.documents,
            self.settings.model_id,
            reads_documents=memory is None or memory >= DOCUMENT_MEGABYTES,
        )
        return Worker(
            self.store,
            self.outbox,
            self.registry,
            self.queue,
            prompter,
            self.model,
            self.model_access,
            Repairs(self.rules, self.quotas),
            self.metrics,
            Room(self.settings.worker_generations, memory),
        )

    @cached_property
    def sweeper(self) -> "Sweeper":
        """The sweeper."""
        from afterword.engine.sweeper import Sweeper

        end_messages = self._queue(self.settings.notify_queue_url)
        metrics = self.metrics if self.has_metrics else None
        return Sweeper(self.store, self.queue, self.outbox, end_messages, metrics)

    @cached_property
    def orphan_sweeper(self) -> "OrphanSweeper":
        """The sweeper of payloads that no item names."""
        from afterword.engine.orphans import OrphanSweeper

        return OrphanSweeper(self.store, self.contents, retention_days=self.settings.retention_days)

    @cached_property
    def notifier(self) -> "Notifier":
        """The notifier of ends."""
        from afterword.engine.notifications import Notifier

        return Notifier(self.store, self._bus, self.webhook_deliveries)

    @cached_property
    def statistics(self) -> "Statistics":
        """Statistics of ended generations."""
        from afterword.usage.statistics import Statistics

        table = self.settings.statistics_table
        return Statistics(self._clients.dynamodb, table, self.listings)

    @cached_property
    def feedback(self) -> "FeedbackKeeper":
        """Readers' feedback on ends."""
        from afterword.engine.feedback import FeedbackKeeper

        return FeedbackKeeper(self.store, self.statistics)

    # --- batches ---------------------------------------------------------------------------------

    @cached_property
    def batches(self) -> "BatchStore":
        """Batches and their progress."""
        from afterword.batches.store import BatchStore

        return BatchStore(self._clients.dynamodb, self.settings.batches_table)

    @cached_property
    def batch_files(self) -> "BatchFiles":
        """Files and results of batches."""
        from afterword.batches.files import BatchFiles

        return BatchFiles(lambda: self._clients.s3, self.settings.batch_bucket)

    @cached_property
    def batch_requests(self) -> "BatchRequests":
        """Batches that come over HTTP."""
        from afterword.batches.requests import BatchRequests

        return BatchRequests(self.batches, self.batch_files, self._batch_terms)

    def intake(self, requests: "Requests") -> "Intake":
        """Return the intake of events and batches, in the dialect that reads their requests."""
        from afterword.batches.intake import Intake
        from afterword.batches.runner import BatchRunner

        runner = BatchRunner(
            self.batches,
            self.batch_files,
            self.store,
            self.submitter,
            self.outbox.cancel,
            requests,
        )
        return Intake(
            self.registry,
            requests,
            self.submitter,
            store=self.batches,
            files=self.batch_files,
            runner=runner,
            queue=self._queue(self.settings.intake_queue_url),
            dead_letters=self._queue(self.settings.intake_dead_letters_url),
            terms=self._batch_terms,
        )

    @property
    def _batch_terms(self) -> "BatchTerms":
        from afterword.batches import BatchTerms

        return BatchTerms(
            retention=timedelta(days=self.settings.retention_days),
            deadline=timedelta(hours=self.settings.batch_hours),
        )

    # --- webhooks and fetching -------------------------------------------------------------------

    @cached_property
    def fetcher(self) -> "Fetcher":
        """Outbound HTTP to addresses that callers name."""
        from afterword.runtime.outbound import Fetcher

        return Fetcher(self.settings.fetch_allowed)

    @cached_property
    def webhook_store(self) -> "WebhookStore":
        """Webhook endpoints and deliveries."""
        from afterword.webhooks.store import WebhookStore

        return WebhookStore(self._clients.dynamodb, self.settings.webhooks_table)

    @cached_property
    def webhook_circuits(self) -> "CircuitStore":
        """Circuits of the webhooks' receivers."""
        from afterword.webhooks.circuits import CircuitStore

        return CircuitStore(self._clients.dynamodb, self.settings.webhooks_table)

    @cached_property
    def webhook_endpoints(self) -> "WebhookEndpoints":
        """Webhook endpoints with their secrets."""
        from afterword.webhooks.endpoints import WebhookEndpoints

        return WebhookEndpoints(
            self.registry,
            self.webhook_store,
            self.webhook_circuits,
            self.webhook_secrets,
            lambda: self.fetcher,
        )

    @cached_property
    def webhook_deliveries(self) -> "WebhookDeliveries":
        """The start of webhook deliveries."""
        from afterword.webhooks.deliveries import WebhookDeliveries

        queue = self._queue(self.settings.webhook_queue_url)
        return WebhookDeliveries(self.registry, self.webhook_store, self.webhook_circuits, queue)

    @cached_property
    def webhook_replays(self) -> "WebhookReplays":
        """The replay of failed deliveries."""
        from afterword.webhooks.replays import WebhookReplays

        return WebhookReplays(self.webhook_store, self.webhook_circuits)

    @cached_property
    def webhook_sender(self) -> "Sender":
        """The sender of webhooks."""
        from afterword.engine.notifications import publish_disabled
        from afterword.webhooks.sending import Sender

        return Sender(
            self.webhook_store,
            self.webhook_circuits,
            self.webhook_secrets,
            self.fetcher,
            self._queue(self.settings.webhook_queue_url),
            retries=self.settings.webhook_retries,
            publish_disabled=partial(publish_disabled, bus=self._bus),
        )

    @cached_property
    def delivery_sweeper(self) -> "DeliverySweeper":
        """The sweeper of webhook deliveries."""
        from afterword.webhooks.sweeping import DeliverySweeper

        queue = self._queue(self.settings.webhook_queue_url)
        return DeliverySweeper(self.webhook_store, self.webhook_circuits, queue)

    @cached_property
    def webhook_secrets(self) -> "WebhookSecrets":
        """Secrets that sign webhooks."""
        from afterword.webhooks.secrets import WebhookSecrets

        return WebhookSecrets(lambda: self._clients.ssm, self.settings.webhooks_table)

    @cached_property
    def _bus(self) -> "Bus | None":
        name = self.settings.event_bus
        if name is None:
            return None
        from afterword.engine.notifications import Bus

        return Bus(self._clients.events, name)

    def _queue(self, url: str) -> "Queue":
        from afterword.runtime.queue import Queue

        return Queue(self._clients.sqs, url)


@cache
def services() -> Services:
    """Return the services of this process."""
    return Services(clients(), Settings.from_environment())
