"""Authentication: the one way from a key string to its tenant."""

import time
from typing import TYPE_CHECKING

from afterword.errors import UnauthenticatedError
from afterword.tenants import keys

if TYPE_CHECKING:
    from afterword.tenants.keys import ApiKey
    from afterword.tenants.registry import Registry

CACHE_SECONDS = 60.0
"""Keys stay in the cache for this long, and a revoked key may still be accepted."""
UNKNOWN_SECONDS = 10.0
"""The id of no key is refused without a read for this long."""
CACHE_SIZE = 1_000
"""Keys in the cache at most, and ids of no key."""


class Authenticator:
    """Authenticates key strings.

    Existing keys are cached for CACHE_SECONDS, and ids of none for UNKNOWN_SECONDS.
    """

    def __init__(self, registry: "Registry") -> None:
        self._registry = registry
        self._known: dict[str, tuple[float, ApiKey]] = {}
        self._unknown: dict[str, float] = {}

    def authenticate(self, key_string: str | None) -> "ApiKey":
        """Return the live key; raise UnauthenticatedError."""
        if not key_string:
            raise UnauthenticatedError("An API key is needed.")
        credential = keys.parse_key(key_string)
        if credential is None:
            raise UnauthenticatedError("The API key is malformed or mistyped.")
        api_key = self._key(credential.key_id)
        if api_key is None or not api_key.matches(credential.secret):
            raise UnauthenticatedError("The API key is not known.")
        if api_key.revoked_at is not None:
            raise UnauthenticatedError("The API key is revoked.")
        return api_key

    def _key(self, key_id: str) -> "ApiKey | None":
        now = time.monotonic()
        until, api_key = self._known.get(key_id, (0.0, None))
        if api_key is not None and now < until:
            return api_key
        if now < self._unknown.get(key_id, 0.0):
            return None
        api_key = self._registry.get_key(key_id)
        if api_key is None:
            self._unknown.pop(key_id, None)
            if len(self._unknown) >= CACHE_SIZE:
                del self._unknown[next(iter(self._unknown))]
            self._unknown[key_id] = now + UNKNOWN_SECONDS
        else:
            if len(self._known) >= CACHE_SIZE:
                self._known.clear()
            self._known[key_id] = (now + CACHE_SECONDS, api_key)
        return api_key
