"""Submitting: the item is the acceptance, the message only a message."""

from datetime import timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from afterword import generations
from afterword.errors import ConflictError, KeyReusedError
from afterword.generations import DEADLINE, Status, SubmissionOptions
from afterword.limits import Admission
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


class Submitter:
    """Accepts submissions of a tenant. `notify`: somebody is to hear of each end."""

    def __init__(  # noqa: PLR0913 - what submitting touches
        self,
        registry: "Registry",
        store: "GenerationStore",
        queue: "Queue",
        limiter: "Limiter",
        *,
        retention_days: int,
        notify: bool,
    ) -> None:
        self._registry = registry
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
        """Accept a submission and return its generation's id, like `accept`."""
        return self.accept(tenant, submission, idempotency_key, flow).id

    def accept(
        self,
        tenant: str,
        submission: "Submission",
        idempotency_key: str | None = None,
        flow: "StoredFlow | None" = None,
    ) -> Admission:
        """Accept a submission.

        First the item, then the message: when sending fails the generation stands all the same,
        and the sweeper sends it. With an idempotency key, all submissions with that key are one
        generation. `flow` is its flow, if it was read already. Raises NotFoundError when the tenant
        has no such flow, UnprocessableError when it does not allow the host of `webhook_url`,
        KeyReusedError when the key stands for another submission, ConflictError when its generation
        was deleted, and LimitedError when the tenant's limits are reached.
        """
        if idempotency_key is None:
            return self._accept(tenant, generations.new_id(), submission, flow=flow, new=True)
        generation_id = generations.id_for_key(tenant, idempotency_key)
        return self._accept(tenant, generation_id, submission, flow=flow, new=False)

    def retry(self, tenant: str, generation_id: str) -> Admission:
        """Submit again what failed or was canceled, as a new generation.

        However often it is retried, that is one generation; it can be retried itself. Raises
        NotFoundError, ConflictError unless it failed or was canceled and its retry was not deleted,
        and LimitedError.
        """
        submission, status = self._store.get_submission(tenant, generation_id)
        if status not in {Status.FAILED, Status.CANCELED}:
            raise ConflictError(
                f"Generation {generation_id} is {status}: only what failed or was canceled can be"
                " submitted again."
            )
        retry_id = generations.id_for_retry(tenant, generation_id)
        accepted = self._accept(tenant, retry_id, submission, new=False, retry_of=generation_id)
        self._store.mark_retried(tenant, generation_id, retry_id)
        return accepted

    def _accept(  # noqa: PLR0913 - what an acceptance depends on
        self,
        tenant: str,
        generation_id: str,
        submission: "Submission",
        *,
        new: bool,
        flow: "StoredFlow | None" = None,
        retry_of: str | None = None,
    ) -> Admission:
        """Accept a submission under an id that is new, or may be there already."""
        flow = flow or self._registry.get_flow(tenant, submission.flow)
        rules = self._limiter.get_rules(tenant)
        url = submission.webhook_url
        if url is not None:
            check_webhook_url(url, rules.webhook_hosts)
        admission = self._limiter.admit(tenant, generation_id, new=new)
        terms = SubmissionOptions(
            flow_version=flow.version,
            retention=self._retention,
            deadline=submission.deadline or flow.deadline or DEADLINE,
            retry_of=retry_of,
            slot=admission.slot,
            notify=self._notify or rules.webhooks or url is not None,
        )
        there = self._store.put(tenant, generation_id, submission, terms)
        if terms.slot is not None and terms.slot != there.slot:
            self._limiter.release_slot(tenant, generation_id, terms.slot)
        if there.deleted:
            raise ConflictError("Its generation was deleted: it is not made again.")
        if not there.same:
            raise KeyReusedError("The Idempotency-Key was used before, for another request.")
        if there.status is Status.QUEUED:  # who submitted it first may have failed to send it
            # Not the logger's context: threads share it, and a batch is submitted by several.
            facts = {"generation_id": generation_id, "tenant": tenant, "flow": submission.flow}
            self._send(tenant, generation_id, facts)
        return admission

    def _send(self, tenant: str, generation_id: str, facts: "Mapping[str, object]") -> None:
        try:
            self._queue.send(tenant, generation_id)
        except (BotoCoreError, ClientError) as error:
            telemetry.logger().warning(
                "accepted, but its message could not be sent", extra={**facts, "why": str(error)}
            )
        else:
            telemetry.logger().info("accepted", extra=facts)
