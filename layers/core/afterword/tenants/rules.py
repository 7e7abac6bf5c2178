"""The rules of tenants, as a process keeps them for a minute."""

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from afterword.limits import Rules
    from afterword.tenants.registry import Registry

CACHE_SECONDS = 60.0
"""The longest time that a process still applies a tenant's old rules."""
CACHE_SIZE = 1_000
"""Tenants in the cache at most."""


class TenantRules:
    """The rules of tenants, at most CACHE_SECONDS old."""

    def __init__(self, registry: "Registry") -> None:
        self._registry = registry
        self._known: dict[str, tuple[float, Rules]] = {}

    def get(self, tenant: str) -> "Rules":
        """Return the rules of a tenant's submissions."""
        now = time.monotonic()
        until, rules = self._known.get(tenant, (0.0, None))
        if rules is None or until <= now:
            rules = self._registry.get_rules(tenant)
            if len(self._known) >= CACHE_SIZE:
                self._known.clear()
            self._known[tenant] = (now + CACHE_SECONDS, rules)
        return rules
