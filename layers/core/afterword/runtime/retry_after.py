"""The header Retry-After of servers: a model's provider, or a webhook's receiver."""

import re
from datetime import UTC
from email.utils import parsedate_to_datetime

from afterword import clock

_SECONDS = re.compile("[0-9]{1,9}")


def parse_retry_after(value: str) -> float | None:
    """Return the seconds of a Retry-After, a number or a date (RFC 9110, section 10.2.3).

    None for any other text; 0 for a date in the past.
    """
    if _SECONDS.fullmatch(value):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:  # of "-0000", and of forms without a zone: UTC
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - clock.now()).total_seconds())
