"""Members of a request's JSON object, read by hand: pydantic is a fifth of a cold start.

Each function raises UnprocessableError, which names the member, for a value that does not fit.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum

from afterword.errors import UnprocessableError, WrongFields

_MAX_SHOWN = 100
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})",
    re.IGNORECASE,
)


def check_members(within: str, values: Mapping[str, object], known: Collection[str]) -> None:
    """Raise UnprocessableError for unknown members, with the names of the known ones."""
    wrong = WrongFields()
    unknown = (_show_name(f"{within}.{name}".lstrip(".")) for name in values if name not in known)
    wrong.note((field, f"must be one of: {', '.join(sorted(known))}.") for field in unknown)
    wrong.refuse()


def read_object(values: Mapping[str, object], name: str, within: str = "") -> Mapping[str, object]:
    """Return a member that is an object; an empty one for an absent member, or null."""
    value = values.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UnprocessableError(f"{within}.{name}".lstrip("."), "must be a JSON object.")
    return value


def read_text(values: Mapping[str, object], name: str, most: int) -> str | None:
    """Return a member that is a text of 1 to `most` characters; None for an absent one, or null."""
    value = values.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 1 <= len(value) <= most or not value.strip():
        raise UnprocessableError(name, f"must be a text of 1 to {most} characters.")
    return value


def require_text(values: Mapping[str, object], name: str, most: int) -> str:
    """Return a member that is a text of 1 to `most` characters."""
    value = read_text(values, name, most)
    if value is None:
        raise UnprocessableError(name, "must be present.")
    return value


def read_whole_number(values: Mapping[str, object], name: str, least: int, most: int) -> int | None:
    """Return a member that is a whole number; None for an absent member, or null."""
    value = values.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise UnprocessableError(name, f"must be a whole number from {least} to {most}.")
    return value


def require_time(values: Mapping[str, object], name: str) -> datetime:
    """Return a member that is a time with its offset (RFC 3339), in UTC."""
    value = values.get(name)
    if value is None:
        raise UnprocessableError(name, "must be present.")
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        try:
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    raise UnprocessableError(name, "must be a time like 2026-11-10T09:00:00Z.")


def parse_choices[T: StrEnum](name: str, value: object, known: Sequence[T]) -> tuple[T, ...]:
    """Return the choices of a list, each once in the order sent."""
    choices = {each.value: each for each in known}
    if (
        not isinstance(value, list)
        or not value
        or not all(isinstance(each, str) and each in choices for each in value)
    ):
        raise UnprocessableError(name, f"must be a list of one or more of: {', '.join(choices)}.")
    return tuple(choices[each] for each in dict.fromkeys(value))


def write_scalar(value: object) -> str | None:
    """Return a JSON string as it is, a number or a boolean as JSON; None for other values."""
    if isinstance(value, str):
        return value
    return json.dumps(value) if isinstance(value, bool | int | float) else None


def _show_name(name: str) -> str:
    """Return a caller's name for a member in the form that a message may have."""
    return name if len(name) <= _MAX_SHOWN and name.isprintable() else "A member"
