"""The sweeper, every minute: repairs generations that are overdue."""

from collections.abc import Mapping

from afterword.handlers import schedule
from afterword.services import services


@schedule.task
def handler(seconds: float) -> Mapping[str, int]:
    """Repair what is overdue within the seconds that are left; return how many came to what."""
    return services().sweeper.sweep(seconds)
