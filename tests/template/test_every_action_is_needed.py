"""No role allows more than is needed: without any one action on any one resource, a test fails.

The short form is in the tests of each function's own environment: no action is left unused.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.harness import roles
from tests.harness.roles import USED_BY_LAMBDA, is_lambdas_own

SECONDS = 1_200


def test_no_action_is_allowed_twice() -> None:
    """A role has each action on a resource once, so that taking one away takes it away.

    Conditions of the template that exclude each other may each have it.
    """
    allowed = [
        (each.function, each.action, each.resource, each.condition)
        for each in roles.deployed().grants
    ]
    assert [grant for grant in allowed if allowed.count(grant) > 1] == []


@pytest.mark.long
def test_every_action_is_needed(tmp_path: Path) -> None:
    """Without any one action on any one resource of any role, a functional test fails."""
    found = walk(tmp_path / "walk.json")
    assert (found["unneeded"], found["failing"]) == ([], [])
    grants = roles.deployed().grants
    ours = {str(grant) for grant in grants if not is_lambdas_own(grant)}
    assert found["witnesses"].keys() == ours
    assert USED_BY_LAMBDA.keys() <= {grant.action for grant in grants}


def walk(file: Path) -> dict[str, Any]:
    """Run the walk of tests/template/walk.py in a process of its own; return its findings."""
    environment = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    command = [sys.executable, "-m", "pytest", "-p", "tests.template.walk", "--walk", str(file)]
    plain = ["-p", "no:cacheprovider", "-p", "no:xdist", "--assert=plain", "--tb=no"]
    done = subprocess.run(  # noqa: S603 - our own command
        [*command, *plain, "tests/endpoints"],
        cwd=ROOT,
        env=environment,
        timeout=SECONDS,
        capture_output=True,
        text=True,
        check=False,
    )
    assert file.exists(), done.stdout + done.stderr
    found: dict[str, Any] = json.loads(file.read_text())
    return found
