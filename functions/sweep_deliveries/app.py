"""The sweeper of deliveries, every minute: sends webhooks that waited in the table."""

from collections.abc import Mapping

from afterword.handlers import schedule
from afterword.runtime.deadline import Deadline
from afterword.services import services


@schedule.task
def handler(deadline: Deadline) -> Mapping[str, int]:
    """Send what is due until the deadline; return counts by outcome."""
    return services().delivery_sweeper.sweep(deadline)
