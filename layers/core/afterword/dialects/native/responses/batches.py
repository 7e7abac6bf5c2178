"""Responses with batches."""

from typing import NotRequired, TypedDict

from afterword.batches import State
from afterword.handlers.json_schema import Count, Time, Uuid


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


class BatchFailure(TypedDict):
    """The reason why a batch stopped."""

    message: str


class BatchLinks(TypedDict):
    """The path of a batch."""

    self: str


class Batch(TypedDict):
    """A batch and its progress."""

    id: Uuid
    status: State
    created_at: Time
    finished_at: Time | None
    lines: Count | None
    """The number of lines; null until counted."""
    read: Count
    """Lines that are submitted, or bad."""
    ended: Count
    """Lines whose generations have ended, in order."""
    counts: LineCounts
    error: BatchFailure | None
    results_url: str | None
    """The address of the results of a finished batch, for an hour: a line for each line."""
    upload_url: NotRequired[str]
    """The address for the file (PUT), while the batch waits for one."""
    links: BatchLinks
