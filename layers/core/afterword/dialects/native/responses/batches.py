"""Responses with batches."""

from typing import NotRequired, TypedDict

from afterword.batches import State
from afterword.handlers.json_schema import Count, Open, Time, Uuid


class LineCounts(TypedDict):
    """The results of the lines so far."""

    accepted: Count
    bad: Count
    """Lines that are no submission; the results have their numbers."""
    succeeded: Count
    failed: Count
    canceled: Count
    missing: Count
    """Lines whose generations were deleted, or have expired."""
    unsubmitted: Count
    """Lines that the batch's deadline has cut off; their results have the reason."""


class BatchFailure(TypedDict):
    """The reason why a batch stopped."""

    message: str


class BatchLinks(TypedDict):
    """The path of a batch."""

    self: str


class Batch(TypedDict):
    """A batch and its progress."""

    id: Uuid
    status: Open[State]
    created_at: Time
    finished_at: Time | None
    deadline_at: Time | None
    """The time at which the batch ends with what it has; null for an earlier version's batch."""
    lines: Count | None
    """The number of lines; null until counted."""
    read: Count
    """Lines that are submitted, or bad."""
    open: Count
    """Lines whose generations have not ended, as of the last look."""
    ended: Count
    """Lines that have ended, or are bad."""
    window: Count | None
    """The number of lines that may be open now; null before the first and after the last look."""
    lines_per_minute: float | None
    """The ends in a minute, smoothed over a minute; null as for `window`."""
    expected_end_at: Time | None
    """The end of the last line at this rate; null at a rate of 0, and as for `window`."""
    counts: LineCounts
    error: BatchFailure | None
    results_url: str | None
    """The address of the results of a finished batch, for an hour: a line for each line."""
    upload_url: NotRequired[str]
    """The address for the file (PUT), while the batch waits for one."""
    links: BatchLinks
