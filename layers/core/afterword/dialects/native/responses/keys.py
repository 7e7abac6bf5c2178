"""Responses with API keys."""

from typing import TypedDict

from afterword.dialects.native.responses import NextPage
from afterword.handlers.json_schema import Open, Time
from afterword.tenants.keys import Scope


class Key(TypedDict):
    """A key, without its secret."""

    id: str
    label: str
    scopes: list[Open[Scope]]
    flow: str | None
    """The one flow of the key; null for all."""
    created_at: Time
    revoked_at: Time | None


class CreatedKey(Key):
    """A new key, shown once."""

    key: str
    """The credential of later requests."""


class KeyList(NextPage):
    """All keys."""

    keys: list[Key]
    """Live and revoked, oldest first."""
