"""Feedback on ends: kept with the generation, and counted once in the statistics.

A change of the kind is one transaction of two writes: of the generation, on condition of the
feedback so far, and of the count. So a repeated request finds its kind in place, and counts
nothing. A change of the note alone is one write, on the same condition.
"""

from typing import TYPE_CHECKING

from afterword.errors import UnavailableError
from afterword.runtime.dynamodb import TransactionCanceledError, tries

if TYPE_CHECKING:
    from afterword.generations import Feedback
    from afterword.generations.feedback import FeedbackChange
    from afterword.generations.store import GenerationStore
    from afterword.usage.statistics import Statistics

CONFLICT_WAITS = (0.05, 0.1, 0.2, 0.4)
"""Maximum seconds to wait after each try, but the last, that another write was in the way of."""


class FeedbackKeeper:
    """Keeps readers' feedback."""

    def __init__(self, store: "GenerationStore", statistics: "Statistics") -> None:
        self._store = store
        self._statistics = statistics

    def give(
        self, tenant: str, generation_id: str, flow: str | None, change: "FeedbackChange"
    ) -> "Feedback | None":
        """Change the feedback on an ended generation, of a flow if one is given; return it.

        Takes a read, and a transaction, or a write for a note alone. Raises NotFoundError if there
        is no such generation, ConflictError if it is open, and UnavailableError while other changes
        are in the way.
        """
        for _ in tries(CONFLICT_WAITS):
            end = self._store.get_rated_end(tenant, generation_id, flow)
            feedback = change.apply(end.feedback)
            if feedback == end.feedback:
                return feedback
            kind = None if feedback is None else feedback.kind
            count = None
            if kind != end.kind:
                count = self._statistics.prepare_feedback(
                    end.outcome, end.finished_at, end.kind, kind
                )
            try:
                if self._store.set_feedback(end, feedback, count):
                    return feedback
            except TransactionCanceledError as error:
                if not error.is_busy:
                    raise
        raise UnavailableError("Others change this feedback. Try again in a moment.")
