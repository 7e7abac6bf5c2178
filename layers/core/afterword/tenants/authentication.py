"""Authentication: the one way from a key string to its tenant."""

import time
from typing import TYPE_CHECKING

from afterword.errors import ForbiddenError, UnauthenticatedError
from afterword.tenants import keys

if TYPE_CHECKING:
    from afterword.tenants.keys import ApiKey, Scope
    from afterword.tenants.registry import Registry

CACHE_SECONDS = 60.0
"""Keys stay in the cache for this long, and a revoked key may still be accepted."""
_CACHE_SIZE = 1_000


class Authenticator:
    """Authenticates key strings, with a cache of existing keys for CACHE_SECONDS."""

    def __init__(self, registry: "Registry") -> None:
        self._registry = registry
        self._known: dict[str, tuple[float, ApiKey]] = {}

    def authenticate(self, key_string: str | None, *scopes: "Scope") -> "ApiKey":
        """Return the live key; raise UnauthenticatedError, or ForbiddenError without a scope."""
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
        for scope in scopes:
            if scope not in api_key.scopes:
                raise ForbiddenError(f"The API key does not have the scope '{scope}'.")
        return api_key

    def _key(self, key_id: str) -> "ApiKey | None":
        now = time.monotonic()
        until, api_key = self._known.get(key_id, (0.0, None))
        if api_key is None or until <= now:
            api_key = self._registry.get_key(key_id)
            if api_key is not None:
                if len(self._known) >= _CACHE_SIZE:
                    self._known.clear()
                self._known[key_id] = (now + CACHE_SECONDS, api_key)
        return api_key
