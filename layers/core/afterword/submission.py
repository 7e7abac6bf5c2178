"""Submitting: the item is the acceptance, the message only a nudge."""

from datetime import timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from afterword import generations, telemetry
from afterword.generations import Status

if TYPE_CHECKING:
    from afterword.generations import Submission
    from afterword.queue import Queue
    from afterword.registry import Registry
    from afterword.store import GenerationStore


class Submitter:
    """Accepts submissions of a tenant."""

    def __init__(
        self, registry: "Registry", store: "GenerationStore", queue: "Queue", retention_days: int
    ) -> None:
        self._registry = registry
        self._store = store
        self._queue = queue
        self._retention = timedelta(days=retention_days)

    def submit(
        self, tenant: str, submission: "Submission", idempotency_key: str | None = None
    ) -> str:
        """Accept a submission and return its generation's id.

        First the item, then the message: when sending fails the generation stands all the same,
        and the sweeper sends it. With an idempotency key, all submissions with that key are one
        generation. Raises NotFoundError when the tenant has no such flow, and KeyReusedError when
        the key stands for another submission.
        """
        flow = self._registry.flow(tenant, submission.flow)
        if idempotency_key is None:
            generation_id = generations.new_id()
        else:
            generation_id = generations.id_for_key(tenant, idempotency_key)
        with telemetry.logger().append_context_keys(generation_id=generation_id):
            status = self._store.put(
                tenant, generation_id, submission, flow.version, self._retention
            )
            if status is Status.QUEUED:  # the first one to submit it may have failed to send it
                self._nudge(tenant, generation_id)
        return generation_id

    def _nudge(self, tenant: str, generation_id: str) -> None:
        try:
            self._queue.send(tenant, generation_id)
        except (BotoCoreError, ClientError) as error:
            telemetry.logger().warning(
                "accepted, but its message could not be sent", extra={"why": str(error)}
            )
        else:
            telemetry.logger().info("accepted")
