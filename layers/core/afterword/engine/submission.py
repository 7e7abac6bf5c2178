"""Submission: the item is the acceptance; its message only starts the worker."""

from concurrent.futures import wait
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from afterword import generations
from afterword.errors import (
    AfterwordError,
    ConflictError,
    KeyReusedError,
    UnavailableError,
    UnprocessableError,
)
from afterword.flows.templates import fill_parts, has_text
from afterword.generations import DEADLINE, Status, SubmissionOptions
from afterword.limits import Admission, Room
from afterword.runtime import telemetry
from afterword.webhooks.hosts import check_webhook_url

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Executor, Future

    from afterword.engine.admission import Limiter
    from afterword.generations import Submission
    from afterword.generations.requests import QueuedItem
    from afterword.generations.store import GenerationStore, PutResult
    from afterword.limits import Allowance
    from afterword.runtime.queue import Queue
    from afterword.tenants import StoredFlow
    from afterword.tenants.registry import Registry
    from afterword.tenants.rules import TenantRules


class Accepted(NamedTuple):
    """An accepted submission: its generation as it stands, and the rest of its tenant's limits."""

    id: str
    put: "PutResult"
    allowances: "tuple[Allowance, ...]" = ()


class KeyedSubmission(NamedTuple):
    """A submission with its idempotency key and its flow, as one of many."""

    key: str
    submission: "Submission"
    flow: "StoredFlow"


class _Prepared(NamedTuple):
    """An admitted submission with the item to put. `facts` are those of the log."""

    admission: Admission
    item: "QueuedItem"
    facts: "Mapping[str, object]"


class Submitter:
    """Accepts submissions. `notify` says that each end has a receiver, the event bus."""

    def __init__(  # noqa: PLR0913 - the stores and queue of a submission
        self,
        registry: "Registry",
        rules: "TenantRules",
        store: "GenerationStore",
        queue: "Queue",
        limiter: "Limiter",
        *,
        retention_days: int,
        notify: bool,
    ) -> None:
        self._registry = registry
        self._rules = rules
        self._store = store
        self._queue = queue
        self._limiter = limiter
        self._retention = timedelta(days=retention_days)
        self._notify = notify

    def submit(
        self,
        tenant: str,
        submission: "Submission",
        idempotency_key: str | None = None,
        flow: "StoredFlow | None" = None,
    ) -> str:
        """Accept a submission like `accept`; return its generation's id."""
        return self.accept(tenant, submission, idempotency_key, flow).id

    def accept(
        self,
        tenant: str,
        submission: "Submission",
        idempotency_key: str | None = None,
        flow: "StoredFlow | None" = None,
    ) -> Accepted:
        """Accept a submission.

        The item comes first. When the send then fails, the generation stands, and the sweeper sends
        its message. With an idempotency key, all submissions with that key are one generation.
        `flow` is its flow, where that was read already. Raises:

        - NotFoundError: the tenant has no such flow.
        - UnprocessableError: the tenant does not allow the host of `webhook_url`, a class is asked
          for of a flow without classes, or the inputs leave the first prompt blank.
        - KeyReusedError: the key stands for another submission.
        - ConflictError: its generation was deleted.
        - LimitedError: the tenant's limits are reached, or the flow's.
        """
        if idempotency_key is None:
            new_id = generations.new_id()
            return self._accept(tenant, new_id, submission, flow=flow, new=True)
        generation_id = generations.id_for_key(tenant, idempotency_key)
        return self._accept(tenant, generation_id, submission, flow=flow, new=False)

    def submit_many(
        self, tenant: str, many: "Sequence[KeyedSubmission]", group: str, threads: "Executor"
    ) -> list[AfterwordError | None]:
        """Accept up to MAX_SENT lines of a batch like `accept`, and send their messages at once.

        All items come first, side by side in the threads. Return the error of each refused one,
        in their order, and None for an accepted one. `group` is the group of the messages. An
        error of AWS is raised after the messages of the others were sent.
        """
        prepared = [
            threads.submit(
                self._prepare,
                tenant,
                generations.id_for_key(tenant, each.key),
                each.submission,
                flow=each.flow,
                new=False,
                of_batch=True,
            )
            for each in many
        ]
        wait(prepared)
        ready = [each.result() for each in prepared if each.exception() is None]
        self._store.put_requests([each.item for each in ready])
        puts = [threads.submit(self._put, tenant, each) for each in ready]
        wait(puts)
        waiting = [
            each
            for each, put in zip(ready, puts, strict=True)
            if put.exception() is None and _needs_message(put.result())
        ]
        self._send_many(tenant, waiting, group)
        refusals = map(_refusal, puts)
        return [_refusal(each) or next(refusals) for each in prepared]

    def retry(self, tenant: str, generation_id: str) -> Accepted:
        """Submit a failed or canceled generation again, as a new one.

        All retries of a generation are one generation, which can be retried itself. Raises
        NotFoundError and LimitedError, and ConflictError for another status or a deleted retry.
        """
        submission, status = self._store.get_submission(tenant, generation_id)
        if status not in {Status.FAILED, Status.CANCELED}:
            raise ConflictError(
                f"Generation {generation_id} is {status}: only a failed or canceled one can be"
                " submitted again."
            )
        retry_id = generations.id_for_retry(tenant, generation_id)
        accepted = self._accept(tenant, retry_id, submission, new=False, retry_of=generation_id)
        self._store.mark_retried(tenant, generation_id, retry_id)
        return accepted

    def _accept(  # noqa: PLR0913 - the facts of an acceptance
        self,
        tenant: str,
        generation_id: str,
        submission: "Submission",
        *,
        new: bool,
        flow: "StoredFlow | None" = None,
        retry_of: str | None = None,
    ) -> Accepted:
        """Accept a submission under an id, which is `new` or may be stored already."""
        prepared = self._prepare(
            tenant, generation_id, submission, new=new, flow=flow, retry_of=retry_of
        )
        self._store.put_requests([prepared.item])
        put = self._put(tenant, prepared)
        if _needs_message(put):
            self._send(tenant, prepared)
        return Accepted(generation_id, put, prepared.admission.allowances)

    def _prepare(  # noqa: PLR0913 - the facts of an acceptance
        self,
        tenant: str,
        generation_id: str,
        submission: "Submission",
        *,
        new: bool,
        flow: "StoredFlow | None" = None,
        retry_of: str | None = None,
        of_batch: bool = False,
    ) -> _Prepared:
        """Check and admit a submission."""
        flow = flow or self._registry.find_flow(tenant, submission.flow)
        check_submission(submission, flow)
        rules = self._rules.get(tenant)
        url = submission.webhook_url
        if url is not None:
            check_webhook_url(url, rules.webhook_hosts)
        admission = self._limiter.admit(tenant, generation_id, flow, new=new, of_batch=of_batch)
        options = SubmissionOptions(
            flow_version=flow.version,
            retention=self._retention,
            deadline=submission.deadline or flow.deadline or DEADLINE,
            retry_of=retry_of,
            slot=admission.slot,
            notify=self._notify or rules.webhooks or url is not None,
        )
        item = self._store.prepare(tenant, generation_id, submission, options)
        # Not the logger's context: threads share it, and a batch is submitted by several.
        facts = {"generation_id": generation_id, "tenant": tenant, "flow": submission.flow}
        return _Prepared(admission, item, facts)

    def _put(self, tenant: str, prepared: _Prepared) -> "PutResult":
        """Store a submission, which is its acceptance."""
        stored, admission = self._store.put_prepared(prepared.item), prepared.admission
        if admission.slot is not None and admission.slot != stored.slot:
            self._limiter.release_slot(tenant, admission.id, admission.slot)
        if stored.deleted:
            raise ConflictError("Its generation was deleted, and is not made again.")
        if not stored.same:
            raise KeyReusedError("The Idempotency-Key was used before, for another request.")
        return stored

    def get_room(self, tenant: str) -> Room | None:
        """Return the room under a tenant's limits for many submissions; None without limits."""
        return self._limiter.get_room(tenant)

    def _send(self, tenant: str, accepted: _Prepared) -> None:
        try:
            self._queue.send(tenant, accepted.admission.id)
        except (BotoCoreError, ClientError) as error:
            _log_sent(accepted, str(error))
        else:
            _log_sent(accepted, None)

    def _send_many(self, tenant: str, many: "Sequence[_Prepared]", group: str) -> None:
        """Send the messages of up to MAX_SENT generations in one call."""
        if not many:
            return
        ids = [each.admission.id for each in many]
        unsent: Mapping[str, str]
        try:
            unsent = self._queue.send_many(tenant, ids, group)
        except (BotoCoreError, ClientError) as error:
            unsent = dict.fromkeys(ids, str(error))
        for each in many:
            _log_sent(each, unsent.get(each.admission.id))


def _needs_message(put: "PutResult") -> bool:
    """Whether a generation is queued, by this submission or by one whose send may have failed."""
    return put.status is Status.QUEUED


def _log_sent(accepted: _Prepared, why: str | None) -> None:
    """Log an acceptance, with the reason why its message was not sent, if it was not."""
    if why is None:
        telemetry.logger().info("accepted", extra=accepted.facts)
    else:
        telemetry.logger().warning(
            "accepted, but could not send its message", extra={**accepted.facts, "why": why}
        )


def _refusal(step: "Future[Any]") -> AfterwordError | None:
    """Return the error of a submission that a step has refused, else None."""
    try:
        step.result()
    except UnavailableError:
        raise
    except AfterwordError as error:
        return error
    return None


def check_submission(submission: "Submission", flow: "StoredFlow") -> None:
    """Raise UnprocessableError for a submission that its flow cannot run.

    A class is asked for of a flow without classes, or the first prompt is blank. The worker checks
    each prompt: files and passages may turn out to have no text.
    """
    if submission.classifies and not flow.has_classes:
        raise UnprocessableError("flow", "must be one whose last step has classes.")
    if submission.files or flow.first_has_context:
        return
    values = {
        name: value if isinstance(value, str) else "\n".join(value)
        for name, value in submission.inputs.items()
    }
    prompt = flow.first_prompt
    if not has_text(values.values() if prompt is None else fill_parts(prompt, values)):
        raise UnprocessableError("inputs", "must have a text, or a file: the prompt is blank.")
