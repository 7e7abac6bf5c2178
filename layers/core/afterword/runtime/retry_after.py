"""The header Retry-After of servers: a model's provider, or a webhook's receiver."""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

from afterword import clock

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_SECONDS = 30 * 24 * 3600.0
"""A longer wait is none that a server has meant."""
_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_TIME = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_ZONE = r"(?:\s+(?:GMT|UTC?|Z|(?P<sign>[+-])(?P<hours>\d\d)(?P<minutes>\d\d)))?"
_FORMS = tuple(
    re.compile(form, re.ASCII | re.IGNORECASE)
    for form in (
        rf"(?:[a-z]+,\s*)?(?P<day>\d\d?)\s+(?P<month>[a-z]+)\s+(?P<year>\d{{4}})\s+{_TIME}{_ZONE}",
        rf"[a-z]+,\s*(?P<day>\d\d?)-(?P<month>[a-z]+)-(?P<year>\d\d|\d{{4}})\s+{_TIME}{_ZONE}",
        rf"[a-z]+\s+(?P<month>[a-z]+)\s+(?P<day>\d\d?)\s+{_TIME}\s+(?P<year>\d{{4}})",
    )
)
"""IMF-fixdate, also with another zone, then RFC 850's date and asctime's."""


def read_retry_after(headers: "Mapping[str, str]") -> float | None:
    """Return the seconds of `retry-after-ms`, which Azure sends, or of `retry-after`; else None."""
    by_name = {name.lower(): value for name, value in headers.items()}
    millis = by_name.get("retry-after-ms", "").strip()
    if _SECONDS.fullmatch(millis):
        return _bounded(float(millis) / 1000)
    return parse_retry_after(by_name.get("retry-after", ""))


def parse_retry_after(value: str) -> float | None:
    """Return the seconds of a Retry-After, a number or a date (RFC 9110, section 10.2.3).

    Takes all three forms of dates (section 5.6.7); one without a zone is in UTC. 0 for a date in
    the past. None for any other text, and for more than MAX_SECONDS.
    """
    value = value.strip()
    if _SECONDS.fullmatch(value):
        return _bounded(float(value))
    moment = _parse_date(value)
    return None if moment is None else _bounded((moment - clock.now()).total_seconds())


def _bounded(seconds: float) -> float | None:
    return max(0.0, seconds) if seconds <= MAX_SECONDS else None


def _parse_date(value: str) -> datetime | None:
    found = next((match for form in _FORMS if (match := form.fullmatch(value))), None)
    if found is None:
        return None
    part = found.groupdict()
    try:
        return datetime(
            _year(part["year"]),
            _MONTHS.index(part["month"][:3].lower()) + 1,
            int(part["day"]),
            int(part["hour"]),
            int(part["minute"]),
            min(59, int(part["second"])),  # of a leap second
            tzinfo=_zone(part),
        )
    except ValueError:  # a part that is out of bounds, or the name of no month
        return None


def _year(digits: str) -> int:
    """Return a year; one of two digits is in this century, or else more than 50 years ahead."""
    if len(digits) > 2:  # noqa: PLR2004 - digits
        return int(digits)
    this_year = clock.now().year
    year = this_year - this_year % 100 + int(digits)
    return year - 100 if year > this_year + 50 else year


def _zone(part: "Mapping[str, str | None]") -> timezone:
    hours, minutes = part.get("hours"), part.get("minutes")
    if hours is None or minutes is None:
        return UTC
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(-offset if part.get("sign") == "-" else offset)
