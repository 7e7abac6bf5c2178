"""Fixtures of the tests of the engine."""

import threading
from collections.abc import Iterator

import pytest

from afterword.generations.store import GenerationStore
from tests.conftest import SetClock, Tenant
from tests.harness.work import Work


@pytest.fixture
def work(tenant: Tenant, store: GenerationStore, set_clock: SetClock) -> Iterator[Work]:  # noqa: ARG001 - for their effect
    """Return the work of the tenant `demo`, and wait for threads that a test left behind."""
    yield Work(store)
    for thread in threading.enumerate():
        if thread.name.startswith("generation"):
            thread.join(timeout=10)
            assert not thread.is_alive()
