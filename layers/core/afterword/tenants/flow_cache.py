"""The newest versions of flows, as a process keeps them for some seconds."""

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from afterword.tenants import StoredFlow

MAX_CHARACTERS = 4_000_000
"""The characters of all documents in the cache at most."""


class FlowCache:
    """The newest versions of flows, each at most `seconds` old; 0 keeps none."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._known: dict[tuple[str, str], tuple[float, StoredFlow]] = {}
        self._characters = 0

    def get(self, tenant: str, flow_id: str) -> "StoredFlow | None":
        """Return a tenant's flow; None where the cache has none that is young enough."""
        until, flow = self._known.get((tenant, flow_id), (0.0, None))
        return flow if time.monotonic() < until else None

    def keep(self, tenant: str, flow: "StoredFlow") -> None:
        """Keep the newest version of a tenant's flow; a full cache forgets all others."""
        if self._seconds <= 0:
            return
        self.forget(tenant, flow.id)
        if self._characters + len(flow.document) > MAX_CHARACTERS:
            self._known.clear()
            self._characters = 0
        self._known[tenant, flow.id] = (time.monotonic() + self._seconds, flow)
        self._characters += len(flow.document)

    def forget(self, tenant: str, flow_id: str) -> None:
        """Forget a flow that has a newer version."""
        known = self._known.pop((tenant, flow_id), None)
        if known is not None:
            self._characters -= len(known[1].document)
