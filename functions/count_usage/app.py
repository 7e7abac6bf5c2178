"""The count, four times an hour: sums up what the hours that are over have come to."""

from collections.abc import Mapping

from afterword.handlers import schedule
from afterword.services import services


@schedule.task
def handler(seconds: float) -> Mapping[str, int]:
    """Sum up within the seconds that are left; return how many hours."""
    return {"hours": services().statistics.count_hours(seconds)}
