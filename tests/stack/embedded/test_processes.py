"""The stack's processes: replaced, refused, and all gone at the end."""

import os
import signal
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from local.places import ANNOUNCED, read
from tests.stack.embedded.driver import (
    Dev,
    Tenant,
    command,
    free_port,
    processes_of,
    refused,
    running,
    until,
)

QUESTION = {"subject": "My policy", "body": "Hello, when does my policy end? Jane Miller"}


def test_a_killed_model_server_comes_back(dev: Dev, tenant: Tenant) -> None:
    """With the model gone mails are accepted all the same, and answered once it is back."""
    killed = dev.facts()["pids"]["model"]
    running_before = [tenant.submit(**QUESTION) for _ in range(5)]
    os.kill(killed, signal.SIGKILL)
    while_down = [tenant.submit(**QUESTION) for _ in range(5)]
    ended = [tenant.finish(process)["status"] for process in running_before + while_down]
    assert ended == ["completed"] * 10
    assert dev.facts()["pids"]["model"] != killed
    assert f"http://127.0.0.1:{dev.port}" == dev.facts()["url"]


def test_two_stacks_stand_side_by_side(dev: Dev, tenant: Tenant, tmp_path: Path) -> None:
    """A second stack on another port answers for itself and is the announced one until it ends."""
    first = dev.facts()
    process = tenant.submit(**QUESTION)
    with running(tmp_path) as second:
        assert second.facts()["url"] != first["url"]
        until(lambda: read(ANNOUNCED) == second.facts(), 5)
        mine = second.tenants()[0]
        answer = mine.request("GET", f"{mine.mails}/{process}")
        assert answer.status_code == 404
        assert mine.finish(mine.submit(**QUESTION))["status"] == "completed"
    assert dev.facts() == read(ANNOUNCED) == first
    assert tenant.finish(process)["status"] == "completed"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_everything(tmp_path: Path, number: signal.Signals) -> None:
    """The first functions run when a stack is ready; SIGTERM or Ctrl-C ends all, with exit 0."""
    with running(tmp_path, AFTERWORD_WARM="1") as dev:
        facts = dev.facts()
        started = " ".join(processes_of(dev.port))
        for function in ("SubmitGeneration", "SubmitMailGeneration", "GetGeneration", "Generate"):
            assert f"-{function}Function-" in started
        dev.tenants()[0].submit(**QUESTION)  # the worker is busy with it
        assert dev.stop(number) == 0
        assert processes_of(dev.port) == []
        assert dev.facts() == {}
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{facts['url']}/health")


def test_a_killed_stack_leaves_nothing(tmp_path: Path) -> None:
    """SIGKILL, too, leaves no process behind."""
    with running(tmp_path) as dev:
        dev.tenants()[0].submit(**QUESTION)
        dev.process.kill()
        dev.process.wait()
        until(lambda: not processes_of(dev.port), 10)


def test_a_lost_aws_stops_the_stack(tmp_path: Path) -> None:
    """When ministack dies its state is gone: one line, everything stops, exit 1."""
    with running(tmp_path) as dev:
        os.kill(dev.facts()["pids"]["aws"], signal.SIGKILL)
        assert dev.process.wait(timeout=30) == 1
        assert processes_of(dev.port) == []
        assert (
            dev.output.read_text()
            .splitlines()[-1]
            .startswith("afterword: ministack ended (SIGKILL)")
        )


def test_a_start_waits_for_the_end_of_another_on_its_port(tmp_path: Path) -> None:
    """A start on the port of a stack that is just stopping is ready after that one's end."""
    with running(tmp_path) as first:
        first.process.send_signal(signal.SIGTERM)
        until(lambda: not first.facts(), 30, every=0.01)
        with running(tmp_path, first.port) as second:
            assert first.process.wait(timeout=0) == 0
            mine = second.tenants()[0]
            assert mine.request("GET", f"{mine.mails}/{uuid4()}").status_code == 404


def test_a_port_in_use_is_said(dev: Dev) -> None:
    """A port in use gives one line that names it."""
    assert f"port {dev.port} cannot be used" in refused(command(dev.port))


def test_a_dead_model_url_is_said() -> None:
    """A model URL that does not answer gives one line that names the setting and the URL."""
    url = f"http://127.0.0.1:{free_port()}/v1"
    line = refused(command(free_port()), AFTERWORD_MODEL_URL=url, AFTERWORD_MODEL="m")
    assert f"AFTERWORD_MODEL_URL ({url})" in line
