"""The one clock, which tests can set: the source of every stored or compared time."""

from datetime import UTC, datetime


def now() -> datetime:
    """Return the present time, aware, in UTC."""
    return datetime.now(UTC)


def to_millis(moment: datetime) -> int:
    """Return whole milliseconds since the epoch, the form in which times are stored."""
    return round(moment.timestamp() * 1000)


def from_millis(millis: int) -> datetime:
    """Return the aware UTC time of milliseconds since the epoch."""
    return datetime.fromtimestamp(millis / 1000, UTC)


def to_rfc3339(moment: datetime) -> str:
    """Return a UTC time such as `2026-11-10T09:00:00.000Z` (RFC 3339)."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
