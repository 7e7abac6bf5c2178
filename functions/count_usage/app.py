"""The count, four times an hour: sums up the ends of the hours that can change no more."""

from collections.abc import Mapping

from afterword.handlers import schedule
from afterword.runtime.deadline import Deadline
from afterword.services import services


@schedule.task
def handler(deadline: Deadline) -> Mapping[str, int]:
    """Sum up hours until the deadline; return their number."""
    return {"hours": services().statistics.count_hours(deadline)}
