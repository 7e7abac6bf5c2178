"""How generations end, and what is left to do then.

An end is one conditional write of the store. If the generation counts against its tenant's limits,
or somebody is to hear of its end, that same write leaves it on the index `by_due`: so whatever dies
afterwards, the sweeper settles it. Settling may happen twice, and does no harm then.
"""

from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from afterword import telemetry
from afterword.generations import Ended, Status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from afterword.generations import Claim, Completion, Reason
    from afterword.queue import Queue
    from afterword.store import GenerationStore
    from afterword.usage import Usage


class Endings:
    """Ends generations. The one way to do it, so that none forgets what is left to do."""

    def __init__(self, store: "GenerationStore", usage: "Usage", notices: "Queue") -> None:
        self._store = store
        self._usage = usage
        self._notices = notices

    def succeed(self, claim: "Claim", completion: "Completion") -> bool:
        """Store the result. False if the claim is no longer the generation's: nothing is stored."""
        return self._settled(self._store.succeed(claim, completion))

    def fail(
        self, claim: "Claim", reason: "Reason", message: str, answer: "Completion | None" = None
    ) -> bool:
        """Store why it failed, and what an answer that was of no use took. False like `succeed`."""
        return self._settled(self._store.fail(claim, reason, message, answer))

    def give_up(
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
        outcome = self._store.give_up(tenant, generation_id, reason, message, letter)
        if isinstance(outcome, Ended):
            self._settled(outcome)
            return outcome.status
        return outcome

    def cancel(self, tenant: str, generation_id: str) -> Status:
        """Cancel an open generation, and return the end that it came to, now or before.

        Raises NotFoundError if the tenant has none such.
        """
        outcome = self._store.cancel(tenant, generation_id)
        if isinstance(outcome, Ended):
            self._settled(outcome)
            return outcome.status
        return outcome

    def settle(self, ended: Ended) -> None:
        """Do what is left to do for a generation that has ended.

        A notice is settled by who makes it known (afterword.notifications), until when it is
        repeated.
        """
        if ended.place is not None:
            self._usage.settle(ended)
        if ended.notify:
            self._notices.send(ended.tenant, ended.id)
        else:
            self._store.settled(ended.tenant, ended.id)

    def _settled(self, ended: Ended | None) -> bool:
        """Settle an end that was just written; the sweeper does it if AWS is out of reach."""
        if ended is None:
            return False
        if not ended.settled:
            try:
                self.settle(ended)
            except (BotoCoreError, ClientError) as error:
                telemetry.logger().warning(
                    "ended, but not settled yet",
                    extra={"generation_id": ended.id, "why": str(error)},
                )
        return True
