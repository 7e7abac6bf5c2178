"""The models that a tenant may use: a list of the owner's beside the tenant's limits."""

import time
from typing import TYPE_CHECKING

from afterword.generations import FailedError, Reason

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from afterword.flows.flow import Flow
    from afterword.tenants.registry import Registry

CACHE_SECONDS = 60.0
"""The longest time that a process still applies a tenant's old list."""
_CACHE_SIZE = 1_000


class ModelAccess:
    """Checks the models of flows.

    The deployment's own model is every tenant's: a flow that names no other costs no read, and
    others cost one a minute for each tenant.
    """

    def __init__(self, registry: "Registry", default_model: str | None) -> None:
        self._registry = registry
        self._default_model = default_model
        self._known: dict[str, tuple[float, Collection[str] | None]] = {}

    def list_problems(self, tenant: str, flow: "Flow") -> "Iterator[tuple[str, str]]":
        """Yield the field of each model that the tenant may not use, with a message."""
        named = [
            (number, step.model)
            for number, step in enumerate(flow.steps)
            if step.model not in {None, self._default_model}
        ]
        allowed = self._get_allowed(tenant) if named else None
        if allowed is None:
            return
        for number, model in named:
            if model not in allowed:
                shown = ", ".join(sorted(allowed)[:_SHOWN]) or "left out"
                yield (
                    f"steps[{number}].model",
                    f"must be a model that the tenant may use: {shown}.",
                )

    def check(self, tenant: str, flow: "Flow") -> None:
        """Raise FailedError for a flow with a model that the tenant may not use."""
        for field, message in self.list_problems(tenant, flow):
            raise FailedError(
                Reason.MODEL_ACCESS_DENIED,
                f"{field}: {message} Save the flow with such a model, or let the stack's owner"
                " allow this one.",
            )

    def _get_allowed(self, tenant: str) -> "Collection[str] | None":
        """Return the models that a tenant's flows may name; None for all."""
        now = time.monotonic()
        until, allowed = self._known.get(tenant, (0.0, None))
        if until <= now:
            allowed = self._registry.get_rules(tenant).models
            if len(self._known) >= _CACHE_SIZE:
                self._known.clear()
            self._known[tenant] = (now + CACHE_SECONDS, allowed)
        return allowed


_SHOWN = 20
"""Models in a message."""
