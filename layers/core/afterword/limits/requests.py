"""Requests that submit, against the limits a minute of a flow and of a key.

Each count is one conditional write of an item of its minute, of one unit, whether the request is
refused or not. Without such a limit there is no call.
"""

from typing import TYPE_CHECKING

from afterword import clock
from afterword.limits import Allowance, LimitedError
from afterword.limits.items import until_next_minute

if TYPE_CHECKING:
    from afterword.limits.quotas import Quotas


class RequestMeter:
    """Counts the requests of flows and keys with a limit, and refuses those above."""

    def __init__(self, quotas: "Quotas") -> None:
        self._quotas = quotas

    def count_flow(self, tenant: str, flow: str, limit: int | None) -> None:
        """Count a submission to a flow; raise LimitedError above the limit, None for none."""
        self._count(tenant, "flow", flow, limit, "submissions to this flow")

    def count_key(self, tenant: str, key_id: str, limit: int | None) -> None:
        """Count a request of a key; raise LimitedError above the limit, None for none."""
        self._count(tenant, "key", key_id, limit, "requests of this API key")

    def _count(self, tenant: str, kind: str, name: str, limit: int | None, counted: str) -> None:
        if limit is None or self._quotas.count_request(tenant, f"{kind}#{name}", limit):
            return
        seconds = until_next_minute(clock.now())
        rest = Allowance(
            name=f"{kind}-requests-per-minute", limit=limit, left=0, window=60, resets=seconds
        )
        raise LimitedError(f"The limit of {counted} a minute is {limit}.", seconds, (rest,))
