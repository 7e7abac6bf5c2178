"""The garbage collector pauses while Lambda imports, and in nobody else's process."""

import gc
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

from afterword.runtime import cold_start


@pytest.fixture(autouse=True)
def frozen(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Return a list with an entry for each freeze, which is not done; leave the collector on."""
    freezes: list[str] = []
    monkeypatch.setattr(gc, "freeze", lambda: freezes.append("frozen"))
    yield freezes
    gc.enable()


def test_in_lambda_the_collector_pauses_until_the_handler_stands(
    monkeypatch: pytest.MonkeyPatch, frozen: list[str]
) -> None:
    """In a Lambda runtime the collector is off from the first import until the handler is made."""
    monkeypatch.setitem(sys.modules, "awslambdaric", ModuleType("awslambdaric"))
    cold_start.begin()
    assert not gc.isenabled()
    assert frozen == []
    cold_start.end()
    assert gc.isenabled()
    assert frozen == ["frozen"]


def test_elsewhere_the_collector_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, frozen: list[str]
) -> None:
    """The command line and the tests import the same package and keep their collector."""
    monkeypatch.delitem(sys.modules, "awslambdaric", raising=False)
    cold_start.begin()
    assert gc.isenabled()
    cold_start.end()
    assert gc.isenabled()
    assert frozen == []
