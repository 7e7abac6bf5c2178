"""Feedback on ends: its changes, and the end that it is for."""

from datetime import datetime

from afterword.generations import Feedback, FeedbackKind
from afterword.generations.ends import Outcome
from afterword.records import dataclass

MAX_NOTE = 2_000
"""Characters of a note."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackChange:
    """A change of feedback; a part that it does not set stays as it is."""

    sets_kind: bool
    kind: FeedbackKind | None = None
    sets_note: bool = False
    note: str | None = None

    def apply(self, before: Feedback | None) -> Feedback | None:
        """Return the feedback after the change; None for none at all."""
        kind, note = (None, None) if before is None else (before.kind, before.note)
        kind = self.kind if self.sets_kind else kind
        note = self.note if self.sets_note else note
        return None if kind is None and note is None else Feedback(kind, note)


@dataclass(frozen=True, slots=True, kw_only=True)
class RatedEnd:
    """An ended generation that gets feedback, with the outcome that the statistics count."""

    id: str
    outcome: Outcome
    finished_at: datetime
    feedback: Feedback | None

    @property
    def kind(self) -> FeedbackKind | None:
        """The kind of its feedback so far."""
        return None if self.feedback is None else self.feedback.kind
