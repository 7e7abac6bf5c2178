"""How generations end, and what is left to do then.

An end is one conditional write of the store. If the generation counts against its tenant's limits,
or somebody is to hear of its end, that same write leaves it on the index `by_due`: so whatever dies
afterwards, the sweeper settles it. Settling may happen twice, and does no harm then.
"""

from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from afterword.generations import Status
from afterword.generations.ends import End
from afterword.runtime import telemetry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from afterword.engine.metrics import Metrics
    from afterword.generations import Completion, Reason
    from afterword.generations.claims import Claim
    from afterword.generations.store import GenerationStore
    from afterword.limits.quotas import Quotas
    from afterword.runtime.queue import Queue


class Outbox:
    """Ends generations. The one way to do it, so that none forgets what is left to do.

    `metrics` is None where nobody collects the log, as on the command line.
    """

    def __init__(
        self,
        store: "GenerationStore",
        quotas: "Quotas",
        notices: "Queue",
        metrics: "Metrics | None" = None,
    ) -> None:
        self._store = store
        self._quotas = quotas
        self._notices = notices
        self._metrics = metrics

    def succeed(self, claim: "Claim", completion: "Completion") -> bool:
        """Store the result. False if the claim is no longer the generation's: nothing is stored."""
        return self._ended(self._store.succeed(claim, completion), claim)

    def fail(
        self, claim: "Claim", reason: "Reason", message: str, answer: "Completion | None" = None
    ) -> bool:
        """Store why it failed, and what an answer that was of no use took. False like `succeed`."""
        return self._ended(self._store.fail(claim, reason, message, answer), claim)

    def fail_unclaimed(
        self,
        tenant: str,
        generation_id: str,
        reason: "Reason",
        message: str,
        letter: "Mapping[str, str] | None" = None,
    ) -> Status | None:
        """Fail a generation that nobody holds, and return where it stands then.

        That is running while somebody has a live lease on it, and None if there is none such.
        `letter` are the facts of its dead letter, which are kept with it.
        """
        outcome = self._store.fail_unclaimed(tenant, generation_id, reason, message, letter)
        if isinstance(outcome, End):
            telemetry.logger().warning("given up", extra=_facts(outcome))
            self._ended(outcome)
            return outcome.status
        return outcome

    def cancel(self, tenant: str, generation_id: str) -> Status:
        """Cancel an open generation, and return the end that it came to, now or before.

        Raises NotFoundError if the tenant has none such.
        """
        outcome = self._store.cancel(tenant, generation_id)
        if isinstance(outcome, End):
            telemetry.logger().info("canceled", extra=_facts(outcome))
            self._ended(outcome)
            return outcome.status
        return outcome

    def dispatch(self, ended: End) -> None:
        """Do what is left to do for a generation that has ended.

        A notice is settled by who makes it known (afterword.engine.notifications), until when it is
        repeated.
        """
        if ended.slot is not None:
            self._quotas.count_end(ended)
        if ended.notify:
            self._notices.send(ended.tenant, ended.id)
        else:
            self._store.mark_dispatched(ended.tenant, ended.id)

    def _ended(self, ended: End | None, claim: "Claim | None" = None) -> bool:
        """Count an end that was just written, by a claim if there is one, and settle it.

        The sweeper settles it if AWS is out of reach.
        """
        if ended is None:
            return False
        if self._metrics is not None:
            self._metrics.record_end(ended, () if claim is None else claim.asked)
        if not ended.dispatched:
            try:
                self.dispatch(ended)
            except (BotoCoreError, ClientError) as error:
                telemetry.logger().warning(
                    "ended, but not settled yet",
                    extra={**_facts(ended), "why": str(error)},
                )
        return True


def _facts(ended: End) -> dict[str, object]:
    """Return what the log says of an end."""
    return {
        "generation_id": ended.id,
        "tenant": ended.tenant,
        "flow": ended.flow,
        "status": ended.status,
        "reason": ended.reason,
        "attempt": ended.attempt,
        "seconds": round((ended.finished_at - ended.created_at).total_seconds(), 3),
    }
