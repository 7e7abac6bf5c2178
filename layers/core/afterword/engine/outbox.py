"""The outbox: ends of generations, and their dispatch.

An end is one conditional write of the store. With that write, an end that gives a slot back, or has
receivers, enters the index `by_due`. So the sweeper dispatches the ends of processes that died. A
second dispatch does no harm.
"""

from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from afterword.runtime import telemetry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from afterword.engine.metrics import Metrics
    from afterword.generations import Completion, Reason, Status
    from afterword.generations.claims import Claim
    from afterword.generations.ends import End
    from afterword.generations.store import GenerationStore
    from afterword.limits.quotas import Quotas
    from afterword.runtime.queue import Queue


class Outbox:
    """Ends generations. The one way to an end, so that none goes without its dispatch.

    `metrics` is None where no log is collected, as on the command line.
    """

    def __init__(
        self,
        store: "GenerationStore",
        quotas: "Quotas",
        messages: "Queue",
        metrics: "Metrics | None" = None,
    ) -> None:
        self._store = store
        self._quotas = quotas
        self._messages = messages
        self._metrics = metrics

    def succeed(self, claim: "Claim", completion: "Completion") -> bool:
        """Store the result. False if the claim is lost: nothing is stored."""
        return self._record(self._store.succeed(claim, completion), claim)

    def fail(
        self, claim: "Claim", reason: "Reason", message: str, answer: "Completion | None" = None
    ) -> bool:
        """Store a failure, with the tokens of a useless answer. False like `succeed`."""
        return self._record(self._store.fail(claim, reason, message, answer), claim)

    def fail_unclaimed(
        self,
        tenant: str,
        generation_id: str,
        reason: "Reason",
        message: str,
        letter: "Mapping[str, str] | None" = None,
    ) -> "Status | None":
        """Fail a generation without a live lease; return its status then.

        The status is running under a live lease, and None if the tenant has no such generation.
        `letter` has the facts of its dead letter, which are stored with the end.
        """
        result = self._store.fail_unclaimed(tenant, generation_id, reason, message, letter)
        if result is None:
            return None
        if result.end is not None:
            telemetry.logger().warning("failed unclaimed", extra=_facts(result.end))
            self._record(result.end)
        return result.status

    def cancel(self, tenant: str, generation_id: str) -> "Status":
        """Cancel an open generation; return the status of its end, this one or an earlier one.

        Raises NotFoundError if the tenant has no such generation.
        """
        result = self._store.cancel(tenant, generation_id)
        if result.end is not None:
            telemetry.logger().info("canceled", extra=_facts(result.end))
            self._record(result.end)
        return result.status

    def dispatch(self, ended: "End") -> None:
        """Give the slot back, count the tokens and send the message of an end.

        An end without receivers then leaves the index. Otherwise the notifier
        (afterword.engine.notifications) takes it off; until then the sweeper repeats the dispatch.
        """
        if ended.slot is not None:
            self._quotas.count_end(ended)
        if ended.notify:
            self._messages.send(ended.tenant, ended.id)
        else:
            self._store.mark_dispatched(ended.tenant, ended.id)

    def _record(self, ended: "End | None", claim: "Claim | None" = None) -> bool:
        """Count and dispatch an end that was just written, by a claim if one is given.

        If AWS is out of reach, the sweeper dispatches it. False without an end.
        """
        if ended is None:
            return False
        if self._metrics is not None:
            self._metrics.record_end(ended, claim)
        if not ended.dispatched:
            try:
                self.dispatch(ended)
            except (BotoCoreError, ClientError) as error:
                telemetry.logger().warning(
                    "could not dispatch", extra={**_facts(ended), "why": str(error)}
                )
        return True


def _facts(ended: "End") -> dict[str, object]:
    """Return the members of a log line about an end."""
    return {
        "generation_id": ended.id,
        "tenant": ended.tenant,
        "flow": ended.flow,
        "status": ended.status,
        "reason": ended.reason,
        "attempt": ended.attempt,
        "seconds": round((ended.finished_at - ended.created_at).total_seconds(), 3),
    }
