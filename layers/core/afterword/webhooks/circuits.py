"""The circuits of receivers, which open after failures in a row and close after a success.

While a circuit is open its deliveries are parked, all but one (decision 0048).
A circuit has an item of its own, written when a try fails and when one succeeds after that. While
it is open, or has parked deliveries to let go, the index `by_due` has it by the sweeper's next
look. Every change of a look is conditional on the look before it.
"""

from datetime import timedelta
from itertools import batched
from typing import TYPE_CHECKING

from afterword import clock
from afterword.runtime.addresses import FetchError, parse_url
from afterword.runtime.dynamodb import (
    Condition,
    ConditionFailed,
    Item,
    Table,
    Value,
    absent,
    at_most,
    differs,
    equals,
    exists,
    millis,
    number,
    seconds,
    text,
)
from afterword.webhooks import (
    GUARD,
    OPEN_AFTER,
    SUBMISSIONS,
    Circuit,
    CircuitState,
)
from afterword.webhooks.items import CIRCUITS_DUE, circuit_key, is_expired, parse_circuit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from mypy_boto3_dynamodb import DynamoDBClient

PROBE_EVERY = timedelta(minutes=15)
"""Between two probes, unless the delivery's own schedule or a Retry-After says otherwise."""
LINGER = timedelta(seconds=150)
"""An emptied circuit gets another look after this: longer than any function that parks may run."""
FIRST_PACE, MAX_PACE = 120, 1_200
"""Parked deliveries that the first minute releases; each minute twice as many, up to the second."""

MAX_KEYS = 100
"""Items that one call reads by their keys."""

_RETENTION = timedelta(days=30)


def circuit_name(endpoint_id: str, url: str | None) -> str:
    """Return the name of the circuit of a delivery: for SUBMISSIONS, one for each host."""
    if endpoint_id != SUBMISSIONS:
        return endpoint_id
    try:
        _, host, port, _ = parse_url(url or "")
    except FetchError:
        return f"{SUBMISSIONS}#"
    return f"{SUBMISSIONS}#{host}:{port}"


class CircuitStore:
    """Circuits, in the webhooks table."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str) -> None:
        self._table = Table(dynamodb, table)

    def read(self, tenant: str, name: str) -> Circuit:
        """Return a circuit; one without an item is closed."""
        found = self._table.get_all([circuit_key(tenant, name)])
        if not found or is_expired(found[0]):
            return Circuit(tenant=tenant, name=name)
        return parse_circuit(found[0])

    def list_due(self, before: "datetime", limit: int) -> "Iterator[Circuit]":
        """Yield up to so many circuits whose look has come, longest due first."""
        condition = equals("due_in", text(CIRCUITS_DUE)) & at_most("due_at", millis(before))
        entries: list[Item] = []
        for page in self._table.pages(condition, index="by_due", limit=limit):
            entries += page.items
            if len(entries) >= limit:
                break
        for some in batched(entries[:limit], MAX_KEYS, strict=False):
            keys = [{"pk": entry["pk"], "sk": entry["sk"]} for entry in some]
            circuits = map(parse_circuit, self._table.get_all(keys))
            yield from sorted(circuits, key=lambda each: each.due_at or before)

    def count_failure(self, circuit: Circuit, more: int = 1) -> Circuit:
        """Count a failure, or none, and return the circuit as it is now."""
        outcome = self._table.update(
            _key(circuit),
            sets={"expires_at": _expiry()},
            defaults={"state": text(CircuitState.CLOSED)},
            adds={"failures": more},
            returns_item=True,
        )
        return circuit if isinstance(outcome, ConditionFailed) else parse_circuit(outcome)

    def open(
        self, circuit: Circuit, due_at: "datetime", *, probe: str | None, by: str | None = None
    ) -> bool:
        """Open a circuit, or note that its probe failed; False if another delivery is its probe.

        `probe` is the delivery that is tried next, None to let the sweeper choose; `by` is the
        delivery that has failed.
        """
        condition: Condition = absent("probe")
        if by is not None:
            condition |= equals("probe", text(by))
        outcome = self._table.update(
            _key(circuit),
            sets={
                "state": text(CircuitState.OPEN),
                "due_in": text(CIRCUITS_DUE),
                "due_at": millis(due_at),
                "expires_at": _expiry(),
                **({} if probe is None else {"probe": text(probe)}),
            },
            defaults={"opened_at": millis(clock.now())},
            removes=["probe"] if probe is None else [],
            condition=condition,
        )
        return not isinstance(outcome, ConditionFailed)

    def close(self, circuit: Circuit) -> None:
        """Close a circuit after a success: an open one begins to release what is parked."""
        now = clock.now()
        if not circuit.is_open:
            self._table.update(
                _key(circuit),
                sets={"failures": number(0)},
                condition=exists("failures") & differs("state", text(CircuitState.OPEN)),
            )
            return
        self._release(circuit, now, equals("state", text(CircuitState.OPEN)))

    def release(self, circuit: Circuit) -> None:
        """Begin to release what is parked, unless the circuit is open: then a success does so."""
        now = clock.now()
        self._release(circuit, now, absent("state") | differs("state", text(CircuitState.OPEN)))

    def reset(self, circuit: Circuit) -> None:
        """Forget the failures and begin to release, as the owner has changed the endpoint."""
        self._release(circuit, clock.now(), exists("failures"))

    def _release(self, circuit: Circuit, now: "datetime", condition: Condition) -> None:
        self._table.update(
            _key(circuit),
            sets={
                "state": text(CircuitState.RELEASING),
                "failures": number(0),
                "pace": number(FIRST_PACE),
                "due_in": text(CIRCUITS_DUE),
                "due_at": millis(now),
                "expires_at": _expiry(),
            },
            removes=["probe", "opened_at"],
            condition=condition,
        )

    def appoint(self, circuit: Circuit, probe: str) -> bool:
        """Make a delivery the probe if the circuit is open; return false if it is closed."""
        outcome = self._table.update(
            _key(circuit),
            sets={"probe": text(probe), "due_at": millis(clock.now() + GUARD)},
            condition=equals("state", text(CircuitState.OPEN)),
        )
        return not isinstance(outcome, ConditionFailed)

    # --- the sweeper's looks -----------------------------------------------------------------

    def look(
        self,
        circuit: Circuit,
        due_at: "datetime",
        *,
        probe: str | None = None,
        pace: int | None = None,
    ) -> bool:
        """Take a look for oneself, and set the next one; False if another process did so.

        `probe` is the delivery that is tried next, and `pace` that of the next look.
        """
        sets: Item = {"due_at": millis(due_at), "expires_at": _expiry()}
        if probe is not None:
            sets = {**sets, "probe": text(probe)}
        if pace is not None:
            state = text(CircuitState.RELEASING)
            sets = {**sets, "pace": number(pace), "state": state}
        return self._change(circuit, sets)

    def empty(self, circuit: Circuit) -> bool:
        """Close a circuit without parked deliveries; the next look takes it off the index.

        One that was open has one failure left, so that the next failed try opens it again.
        """
        sets: Item = {
            "state": text(CircuitState.CLOSED),
            "due_at": millis(clock.now() + LINGER),
            "expires_at": _expiry(),
        }
        if circuit.is_open:
            sets = {**sets, "failures": number(OPEN_AFTER - 1)}
        return self._change(circuit, sets, "probe", "opened_at", "pace")

    def take_off(self, circuit: Circuit) -> bool:
        """Take a closed circuit off the index."""
        return self._change(circuit, {}, "due_in", "due_at")

    def _change(self, circuit: Circuit, sets: Item, *removes: str) -> bool:
        if circuit.due_at is None:
            return False
        outcome = self._table.update(
            _key(circuit),
            sets=sets,
            removes=removes,
            condition=equals("due_at", millis(circuit.due_at))
            & equals("state", text(circuit.state)),
        )
        return not isinstance(outcome, ConditionFailed)


def _key(circuit: Circuit) -> Item:
    return circuit_key(circuit.tenant, circuit.name)


def _expiry() -> Value:
    return seconds(clock.now() + _RETENTION)
