"""Fixtures of the simulation, which stand in for the clock, threads, AWS and the model."""

import logging
import random
from collections.abc import Callable, Iterator
from itertools import count
from types import SimpleNamespace
from typing import Any, Protocol

import botocore.endpoint
import pytest
from botocore.awsrequest import AWSPreparedRequest
from moto.core.botocore_stubber import BotocoreStubber

from afterword import clock, generations
from afterword.engine import attempts, sweeper
from afterword.limits import Limits, quotas, shards
from afterword.models import provider
from afterword.runtime import deadline
from afterword.runtime.clients import clients
from afterword.services import services
from afterword.tenants import authentication, flow_cache, rules
from tests.conftest import Event, Tenant, forget_handlers
from tests.harness.deployment import REFERENCES
from tests.harness.seeds import seeded
from tests.simulation.scheduler import Pool
from tests.simulation.world import CAP, World

type Mutate = Callable[[], None]


class Simulate(Protocol):
    """Runs a seed in a fresh world, and returns that afterwards.

    `mutate` is called when the clients are there. An exception tells the seed and each step.
    """

    def __call__(self, seed: int, mutate: Mutate | None = None, kind: type[World] = World) -> World:
        """Raise BrokenError when a promise is broken."""
        ...


@pytest.fixture
def quiet() -> Iterator[None]:
    """Log nothing of a simulation's thousands of steps."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def tenants(
    environment: None,  # noqa: ARG001 - before AWS
    quiet: None,  # noqa: ARG001 - asked for its effect
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> tuple[Tenant, Tenant]:
    """Create a tenant with limits and one without, where each end is to be made known."""
    monkeypatch.setenv("AFTERWORD_EVENT_BUS", "default")
    make_tenant: Callable[[str], Tenant] = request.getfixturevalue("make_tenant")
    limited, free = make_tenant("limited"), make_tenant("free")
    services().registry.set_limits(
        limited.id,
        Limits(requests_per_minute=60, running_at_once=CAP, tokens_per_month=10_000_000),
    )
    return limited, free


@pytest.fixture
def simulate(
    tenants: tuple[Tenant, Tenant],
    load_event: Callable[[str], Event],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Simulate]:
    """Return a function that runs a seed."""
    state = random.getstate()
    answer = BotocoreStubber.__call__
    submission = load_event("submit_mail_generation")
    runs = count()

    def run(seed: int, mutate: Mutate | None = None, kind: type[World] = World) -> World:
        if next(runs):
            monkeypatch.setattr(BotocoreStubber, "__call__", answer)
            start_afresh()
        spread_quotas(tenants, monkeypatch, spread=seed % 2 == 1)
        random.seed(seed)  # random waits of the worker and botocore
        world = kind(seed, tenants, submission)
        put_in_slot(world, seed, answer, monkeypatch)
        for client in (clients().dynamodb, clients().sqs, clients().events):
            events: Any = client.meta.events  # its stubs know no handler without the names
            events.register("after-call-error", world.gave_up)
        if mutate is not None:
            mutate()
        try:
            world.run()
        except Exception as error:
            error.add_note("\n".join([f"seed {seed}:", *world.steps]))
            raise
        return world

    yield run
    random.setstate(state)


def start_afresh() -> None:
    """Forget what the run before has left in the tables and in long-lived objects."""
    forget_handlers()
    services.cache_clear()
    for name in ("GenerationsTable", "QuotasTable"):
        table = REFERENCES[name]
        for item in clients().dynamodb.scan(TableName=table)["Items"]:
            clients().dynamodb.delete_item(TableName=table, Key={"pk": item["pk"]})
    table = REFERENCES["StatisticsTable"]
    for item in clients().dynamodb.scan(TableName=table)["Items"]:
        key = {"pk": item["pk"], "sk": item["sk"]}
        clients().dynamodb.delete_item(TableName=table, Key=key)


def spread_quotas(
    tenants: tuple[Tenant, Tenant], monkeypatch: pytest.MonkeyPatch, *, spread: bool
) -> None:
    """Let each slot have a shard of its own, and the other tenant a limit of tokens; or neither."""
    monkeypatch.setattr(shards, "MAIN_SLOTS", 1 if spread else CAP)
    monkeypatch.setattr(shards, "SHARD_SLOTS", 1)
    _, free = tenants
    services().registry.set_limits(
        free.id, Limits(tokens_per_month=10_000_000) if spread else Limits()
    )


def put_in_slot(
    world: World, seed: int, answer: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let the code meet the world wherever it would meet time, chance, threads, AWS or a model."""
    time = SimpleNamespace(monotonic=world.monotonic, sleep=world.sleep)
    for module in (deadline, rules, authentication, flow_cache, quotas, botocore.endpoint):
        monkeypatch.setattr(module, "time", time)
    monkeypatch.setattr(clock, "now", world.clock)
    ids = seeded(seed)
    monkeypatch.setattr(generations, "secrets", SimpleNamespace(randbits=ids.getrandbits))
    monkeypatch.setattr(
        attempts,
        "ThreadPoolExecutor",
        lambda **_: Pool(world.scheduler, world.begun, world.promises.thread_ended),
    )
    monkeypatch.setattr(
        sweeper,
        "ThreadPoolExecutor",
        lambda **_: Pool(world.scheduler, lambda *_: None, world.promises.thread_ended),
    )
    for module in (attempts, sweeper):
        monkeypatch.setattr(module, "wait", world.scheduler.wait)
    monkeypatch.setattr(provider, "build_model", lambda *_: world)

    def call(stubber: object, event_name: str, request: AWSPreparedRequest, **_: object) -> Any:  # noqa: ANN401 - moto's own

        operation = event_name.removeprefix("before-send.")
        return world.call(
            operation, request, lambda: answer(stubber, event_name=event_name, request=request)
        )

    monkeypatch.setattr(BotocoreStubber, "__call__", call)
