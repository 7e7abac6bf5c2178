"""The cross-check: a short run in which every simulated invocation really runs, over moto.

The simulation says which instance gets which request or batch, and when. Each instance has the
services of a process of its own, with its caches. Then calls, units and invocations are counted on
both sides.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

from afterword import clock
from afterword import services as composition
from afterword.runtime.clients import clients
from afterword.runtime.settings import Settings as Environment
from afterword.services import Services, services
from bench.load.recording import (
    BIG_TEXT,
    LIMITS,
    Recorder,
    Recording,
    batch,
    quiet_log,
    recorder,
)
from bench.load.recording import request as build_request
from bench.load.recording import submission as build_submission
from bench.load.simulation import Invocation, Load, Settings, Simulation

START = datetime(2026, 11, 10, 9, 0, tzinfo=UTC)


@dataclass
class Totals:
    """Calls by operation, units by table and index, and invocations by function."""

    calls: Counter[str] = field(default_factory=Counter)
    writes: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    reads: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    invocations: Counter[str] = field(default_factory=Counter)


class _Real:
    """The handlers, invoked as the simulation says."""

    def __init__(self, its: Recorder, url: str, load: Load) -> None:
        self._its, self._url, self._load = its, url, load
        self._keys: dict[int, str] = {}
        self._ids: dict[int, str] = {}
        self._numbers: dict[str, int] = {}
        self._messages: dict[tuple[str, int], str] = {}
        self._instances: dict[tuple[str, int], Services] = {}
        self.totals = Totals()
        for tenant in range(load.tenants):
            self._make_tenant(tenant)

    def _make_tenant(self, tenant: int) -> None:
        kind = self._load.kind(tenant)
        limits = LIMITS if kind == "limits" else None
        webhook = f"{self._url}/hook" if kind == "webhooks" else None
        self._keys[tenant] = self._its.make_tenant(_name(tenant), limits, webhook)

    def run(self, invocation: Invocation) -> None:
        """Invoke a handler in the services of its instance, and count what it does."""
        moment = START + timedelta(seconds=invocation.at)
        process = (invocation.function, invocation.instance)
        own = self._instances.get(process)
        if own is None:
            own = Services(clients(), Environment.from_environment())
            self._instances[process] = own
        services.cache_clear()
        with (
            patch.object(clock, "now", lambda: moment),
            patch.object(composition, "Services", lambda *_, **__: own),
        ):
            self._its.tape.begin()
            with quiet_log():
                answer = self._its.invoke(invocation.function, self._event(invocation))
        self._note(invocation, answer)

    def _event(self, invocation: Invocation) -> dict[str, Any]:
        function, generations = invocation.function, invocation.generations
        if function in {"submit_generation", "get_generation"}:
            (tenant,), (generation,) = invocation.tenants, generations
            key, name = self._keys[tenant], _name(tenant)
            if function == "get_generation":
                return build_request(function, name, key, self._ids[generation])
            kind = self._load.kind(tenant)
            idempotency = f"key-{generation}" if kind == "keyed" else None
            if kind == "big":
                return build_submission(function, name, key, text=BIG_TEXT)
            return build_submission(function, name, key, idempotency=idempotency)
        queue = {"generate": "Queue", "deliver": "NotifyQueue", "send_webhook": "WebhookQueue"}
        return batch([self._messages.pop((queue[function], each)) for each in generations])

    def _note(self, invocation: Invocation, answer: Mapping[str, Any]) -> None:
        if answer.get("statusCode", 200) >= 400 or answer.get("batchItemFailures"):  # noqa: PLR2004
            raise RuntimeError(f"{invocation.function} answered {answer}")
        totals = self.totals
        totals.invocations[invocation.function] += 1
        for call in self._its.tape.calls:
            totals.calls[call.operation] += 1
            for charge in call.charges:
                totals.writes[charge.table] += charge.write
                totals.reads[charge.table] += charge.read
        sent = self._its.sent()
        for number, (queue, body) in enumerate(sent):
            if queue == "NotifyQueue":
                generation = self._numbers[json.loads(body)["id"]]
            else:  # a submission, or deliveries in the order of the ends
                generation = invocation.generations[number]
            if queue == "Queue":
                self._ids[generation] = json.loads(body)["id"]
                self._numbers[self._ids[generation]] = generation
            self._messages[queue, generation] = body


def check(recording: Recording, settings: Settings, load: Load, seed: int) -> tuple[Totals, Totals]:
    """Run a load twice, once by the recording and once really; return both totals."""
    simulated = Totals()
    with ExitStack() as stack:
        its, url = stack.enter_context(recorder())
        real = _Real(its, url, load)

        def listen(invocation: Invocation) -> None:
            simulated.invocations[invocation.function] += 1
            for name in invocation.paths:
                path = recording.paths[name]
                simulated.calls += path.operations()
                for step in path.steps:
                    for charge in step.charges:
                        simulated.writes[charge.table] += charge.write
                        simulated.reads[charge.table] += charge.read
            real.run(invocation)

        Simulation(recording, settings, load, seed, listen).run()
    return simulated, real.totals


def _name(tenant: int) -> str:
    return f"tenant-load-{tenant:03d}"
