"""Needs Docker: without it the whole run fails and says so in its last lines."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.stack.embedded.driver import Tenant
from tests.stack.sam.driver import SamLocal, running

MISSING = pytest.StashKey[str]()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Find out whether Docker answers."""
    try:
        found = subprocess.run(
            ["docker", "version", "--format", "{{.Server.Version}}"],  # noqa: S607 - as PATH has it
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        session.config.stash[MISSING] = "there is no `docker`"
        return
    if found.returncode:
        session.config.stash[MISSING] = " ".join(found.stderr.split())


@pytest.fixture(scope="session", autouse=True)
def docker(request: pytest.FixtureRequest) -> None:
    """Fail every test where Docker is missing."""
    if MISSING in request.config.stash:
        pytest.fail(f"Docker is missing: {request.config.stash[MISSING]}", pytrace=False)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Say it once more, where nobody can overlook it."""
    if MISSING in config.stash:
        print(f"\nDocker is missing, nothing was tested: {config.stash[MISSING]}")  # noqa: T201


@pytest.fixture(scope="session")
def sam(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SamLocal]:
    """Run the one `make sam-local` that most of these tests share."""
    with running(tmp_path_factory.mktemp("sam")) as sam:
        yield sam


@pytest.fixture(scope="session")
def tenant(sam: SamLocal) -> Tenant:
    return sam.tenant()
