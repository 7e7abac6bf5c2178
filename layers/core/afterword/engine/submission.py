"""Submission: the item is the acceptance; its message only starts the worker."""

from datetime import timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from afterword import generations
from afterword.errors import ConflictError, KeyReusedError, UnprocessableError
from afterword.flows.templates import fill_parts, has_text
from afterword.generations import DEADLINE, Status, SubmissionOptions
from afterword.limits import Admission, Room
from afterword.runtime import telemetry
from afterword.webhooks.hosts import check_webhook_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from afterword.engine.admission import Limiter
    from afterword.generations import Submission
    from afterword.generations.store import GenerationStore
    from afterword.runtime.queue import Queue
    from afterword.tenants import StoredFlow
    from afterword.tenants.registry import Registry
    from afterword.tenants.rules import TenantRules


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
        *,
        group: str | None = None,
    ) -> str:
        """Accept a submission like `accept`; return its generation's id."""
        return self.accept(tenant, submission, idempotency_key, flow, group=group).id

    def accept(
        self,
        tenant: str,
        submission: "Submission",
        idempotency_key: str | None = None,
        flow: "StoredFlow | None" = None,
        *,
        group: str | None = None,
    ) -> Admission:
        """Accept a submission.

        The item comes first. When the send then fails, the generation stands, and the sweeper sends
        its message. With an idempotency key, all submissions with that key are one generation.
        `flow` is its flow, where that was read already, and `group` its message's group, for lines
        of batches alone. Raises:

        - NotFoundError: the tenant has no such flow.
        - UnprocessableError: the tenant does not allow the host of `webhook_url`, a class is asked
          for of a flow without classes, or the inputs leave the first prompt blank.
        - KeyReusedError: the key stands for another submission.
        - ConflictError: its generation was deleted.
        - LimitedError: the tenant's limits are reached, or the flow's.
        """
        if idempotency_key is None:
            new_id = generations.new_id()
            return self._accept(tenant, new_id, submission, flow=flow, group=group, new=True)
        generation_id = generations.id_for_key(tenant, idempotency_key)
        return self._accept(tenant, generation_id, submission, flow=flow, group=group, new=False)

    def retry(self, tenant: str, generation_id: str) -> Admission:
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
        group: str | None = None,
        retry_of: str | None = None,
    ) -> Admission:
        """Accept a submission under an id, which is `new` or may be stored already."""
        flow = flow or self._registry.get_flow(tenant, submission.flow)
        check_submission(submission, flow)
        rules = self._rules.get(tenant)
        url = submission.webhook_url
        if url is not None:
            check_webhook_url(url, rules.webhook_hosts)
        of_batch = group is not None
        admission = self._limiter.admit(tenant, generation_id, flow, new=new, of_batch=of_batch)
        options = SubmissionOptions(
            flow_version=flow.version,
            retention=self._retention,
            deadline=submission.deadline or flow.deadline or DEADLINE,
            retry_of=retry_of,
            slot=admission.slot,
            notify=self._notify or rules.webhooks or url is not None,
        )
        stored = self._store.put(tenant, generation_id, submission, options)
        if options.slot is not None and options.slot != stored.slot:
            self._limiter.release_slot(tenant, generation_id, options.slot)
        if stored.deleted:
            raise ConflictError("Its generation was deleted, and is not made again.")
        if not stored.same:
            raise KeyReusedError("The Idempotency-Key was used before, for another request.")
        if stored.status is Status.QUEUED:  # the first submission's send may have failed
            # Not the logger's context: threads share it, and a batch is submitted by several.
            facts = {"generation_id": generation_id, "tenant": tenant, "flow": submission.flow}
            self._send(tenant, generation_id, group, facts)
        return admission

    def get_room(self, tenant: str) -> Room | None:
        """Return the room under a tenant's limits for many submissions; None without limits."""
        return self._limiter.get_room(tenant)

    def _send(
        self, tenant: str, generation_id: str, group: str | None, facts: "Mapping[str, object]"
    ) -> None:
        try:
            self._queue.send(tenant, generation_id, group)
        except (BotoCoreError, ClientError) as error:
            telemetry.logger().warning(
                "accepted, but could not send its message", extra={**facts, "why": str(error)}
            )
        else:
            telemetry.logger().info("accepted", extra=facts)


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
