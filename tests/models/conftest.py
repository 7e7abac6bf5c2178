"""A real llama.cpp server with a small real model, started once for these tests."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from local.processes import hold_port, port_of
from tests.conftest import ROOT
from tests.harness.scripted_endpoint import Script, serve_script

STACK_PYTHON = ROOT / ".venv/stack/bin/python"
READY_SECONDS = 60


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the base URL of the model server that `make dev` also runs."""
    assert STACK_PYTHON.exists(), "run `make test`, which installs llama.cpp into .venv/stack"
    log = Path(tmp_path_factory.mktemp("llama")) / "server.log"
    with hold_port(0, shared=True) as held, log.open("wb") as output:
        port = port_of(held)
        server = subprocess.Popen(  # noqa: S603 - our own script
            [STACK_PYTHON, ROOT / "local/serve_model.py", str(port)],
            stdout=output,
            stderr=output,
        )
        try:
            _wait_until_loaded(f"http://127.0.0.1:{port}/health", server, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.terminate()
            server.wait()


@pytest.fixture
def script() -> Iterator[Script]:
    """Run a scripted endpoint."""
    with serve_script() as script:
        yield script


def _wait_until_loaded(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until and server.poll() is None:
        try:
            if urllib3.request("GET", url, retries=False, timeout=1).status == 200:
                return
        except urllib3.exceptions.HTTPError:
            pass
        time.sleep(0.05)
    pytest.fail(f"the model server did not start:\n{log.read_text()[-2000:]}")
