"""Cursors of lists: where the next page begins, as a client is given it and hands it back."""

import base64
import binascii
import re

from afterword.errors import InvalidRequestError

GENERATION = re.compile(r"[0-9]{13}#[0-9a-f-]{36}")
"""The place of a generation in a list: its creation time and its id."""
ANY = re.compile(r".*", re.DOTALL)


def encode(place: str) -> str:
    """Return a place as a cursor, which goes into a URL as it is."""
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def decode(cursor: str, parameter: str, kind: re.Pattern[str] = ANY) -> str:
    """Return the place that a cursor stands for, of one kind.

    Raises InvalidRequestError, which names the query's parameter, for a cursor that none of ours is
    like. Whose place it is, it does not say: lists look within a tenant alone.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        place = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        place = None
    if place is None or not kind.fullmatch(place):
        raise InvalidRequestError(f"{parameter}: it is none of the API's; follow the Link header.")
    return place
