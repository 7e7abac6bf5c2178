"""The sweep of objects, once a week over some runs: deletes payloads that no item names."""

from collections.abc import Mapping

from afterword.handlers import schedule
from afterword.runtime.deadline import Deadline
from afterword.services import services


@schedule.task
def handler(deadline: Deadline) -> Mapping[str, int]:
    """Go on with the sweep until the deadline; return counts of pages and objects."""
    return services().orphan_sweeper.sweep(deadline)
