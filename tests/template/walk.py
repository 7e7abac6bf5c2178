"""A pytest plugin that looks for a test that fails, for each grant of the functions' roles.

The plugin takes one grant away after the other, and runs tests until one fails of the denial. The
first are the tests of a function's own environment, the fastest first; then come the others. The
former are run once with all grants, to see which of them use which. `--walk FILE` writes what was
found as JSON.
"""

import json
import time
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol

from tests.harness import roles
from tests.harness.roles import Grant, is_lambdas_own

COMPLETE = "test_own_environment"
"""The prefixes of the files whose tests use all grants of a function."""


@dataclass(frozen=True)
class Walk:
    """The findings of a walk: tests by the grants that they need, grants as sentences."""

    failing: list[str] = field(default_factory=list)
    """Tests that fail without any grant taken away."""
    witnesses: dict[str, str] = field(default_factory=dict)
    """By grant a test that fails without it."""
    unneeded: list[str] = field(default_factory=list)
    """Grants without which no test fails."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that asks for a walk."""
    parser.addoption("--walk", type=Path, metavar="FILE", help="walk the grants, write to FILE")


def pytest_runtestloop(session: pytest.Session) -> object:
    """Walk instead of running the tests, where that is asked for."""
    file: Path | None = session.config.getoption("--walk")
    if file is None:
        return None
    if session.testsfailed:
        raise session.Interrupted("The tests cannot be collected.")
    file.write_text(json.dumps(asdict(_walked(session.items))))
    return True


def _walked(items: list[pytest.Item]) -> Walk:
    walk = Walk()
    deployed = roles.deployed()
    users = defaultdict[Grant, list[tuple[float, pytest.Item]]](list)
    for item in items:
        if not item.path.name.startswith(COMPLETE):
            continue
        begun = time.perf_counter()
        if _fails(item):
            walk.failing.append(item.nodeid)
            continue
        took = time.perf_counter() - begun
        for grant in deployed.used:
            users[grant].append((took, item))
    for grant in deployed.grants:
        if is_lambdas_own(grant):
            continue
        fastest = [item for _, item in sorted(users[grant], key=lambda user: user[0])]
        own = (item for item in items if item.path.name == f"test_{grant.function}.py")
        witness = next((item for item in fastest if _fails_without(grant, item)), None) or next(
            (item for item in own if _fails_without(grant, item) and not _fails(item)), None
        )
        if witness is not None:
            walk.witnesses[str(grant)] = witness.nodeid
        else:
            walk.unneeded.append(str(grant))
    return walk


def _fails_without(grant: Grant, item: pytest.Item) -> bool:
    """Whether a test fails without a grant, having been denied it."""
    deployed = roles.deployed()
    with deployed.without(grant):
        return _fails(item) and deployed.denied


def _fails(item: pytest.Item) -> bool:
    """Run a test, with fixtures of its own, and return whether it fails."""
    return any(report.failed for report in runtestprotocol(item, log=False, nextitem=None))
