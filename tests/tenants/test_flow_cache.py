"""The cache of flows: for some seconds, within a bound, and never over its process's own saves."""

from types import SimpleNamespace

import pytest

from afterword import clock
from afterword.errors import NotFoundError
from afterword.runtime.clients import clients
from afterword.services import services
from afterword.tenants import StoredFlow, flow_cache
from afterword.tenants.flow_cache import MAX_CHARACTERS, FlowCache
from afterword.tenants.registry import Registry
from tests.conftest import FLOW, FLOW_DOCUMENT, Call, Tenant
from tests.harness.deployment import REFERENCES

SECONDS = 5.0


class Stopwatch:
    """A monotonic clock that stands still until it is moved on."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        """Return the seconds at which it stands."""
        return self.now


@pytest.fixture
def stopwatch(monkeypatch: pytest.MonkeyPatch) -> Stopwatch:
    """Let caches of flows go by a set clock."""
    stopwatch = Stopwatch()
    monkeypatch.setattr(flow_cache, "time", SimpleNamespace(monotonic=stopwatch))
    return stopwatch


@pytest.fixture
def registry(tenant: Tenant) -> Registry:
    """Return a registry of another process than that of the fixtures, with the cache."""
    assert tenant
    return Registry(clients().dynamodb, REFERENCES["RegistryTable"], flow_seconds=SECONDS)


def stored(flow_id: str = FLOW, document: str = "{}") -> StoredFlow:
    """Return a version of a flow."""
    return StoredFlow(flow_id, 1, document, clock.now())


def test_a_new_version_is_seen_after_some_seconds(registry: Registry, stopwatch: Stopwatch) -> None:
    """A version that another process saves is taken once the one before is so many seconds old."""
    assert registry.find_flow("demo", FLOW).version == 1
    assert services().registry.put_flow("demo", FLOW, FLOW_DOCUMENT).version == 2
    stopwatch.now += SECONDS - 0.001
    assert registry.find_flow("demo", FLOW).version == 1
    assert registry.get_flow("demo", FLOW).version == 2
    stopwatch.now += 0.001
    assert registry.find_flow("demo", FLOW).version == 2


@pytest.mark.usefixtures("stopwatch")
def test_a_process_sees_what_it_has_saved(registry: Registry, calls: list[Call]) -> None:
    """A save of the process itself is seen at once, and a flow is read once in the seconds."""
    for _ in range(2):
        assert registry.find_flow("demo", FLOW).version == 1
    assert [call.operation for call in calls] == ["dynamodb.GetItem"]
    registry.put_flow("demo", FLOW, FLOW_DOCUMENT)
    assert registry.find_flow("demo", FLOW).version == 2


@pytest.mark.usefixtures("stopwatch")
def test_a_flow_that_is_new_is_found_at_once(registry: Registry) -> None:
    """That there is no such flow is not kept."""
    with pytest.raises(NotFoundError):
        registry.find_flow("demo", "later")
    services().registry.put_flow("demo", "later", FLOW_DOCUMENT)
    assert registry.find_flow("demo", "later").version == 1


@pytest.mark.usefixtures("stopwatch")
def test_flows_of_tenants_are_apart() -> None:
    """A tenant gets no other tenant's flow of the same id."""
    cache = FlowCache(SECONDS)
    cache.keep("demo", stored())
    assert cache.get("other", FLOW) is None


def test_a_cache_of_no_seconds_keeps_nothing() -> None:
    """With 0 seconds each submission reads its flow."""
    cache = FlowCache(0)
    cache.keep("demo", stored())
    assert cache.get("demo", FLOW) is None


@pytest.mark.usefixtures("stopwatch")
def test_the_cache_is_bounded() -> None:
    """Documents of more characters than the bound push all others out."""
    cache = FlowCache(SECONDS)
    document = "x" * (MAX_CHARACTERS // 4)
    for number in range(4):
        cache.keep("demo", stored(f"flow-{number}", document))
        cache.keep("demo", stored(f"flow-{number}", document))
    assert all(cache.get("demo", f"flow-{number}") for number in range(4))
    cache.keep("demo", stored("further"))
    assert cache.get("demo", "flow-0") is None
    assert cache.get("demo", "further") is not None
