"""The sweeper, every minute: repairs stalled generations."""

from collections.abc import Mapping

from afterword.handlers import schedule
from afterword.runtime.deadline import Deadline
from afterword.services import services


@schedule.task
def handler(deadline: Deadline) -> Mapping[str, int]:
    """Repair stalled generations until the deadline; return counts by repair."""
    return services().sweeper.sweep(deadline)
