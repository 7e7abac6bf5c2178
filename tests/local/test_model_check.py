"""The check of the model at the start of `make dev`, and in `make demo`."""

import asyncio
import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from afterword.runtime.clients import clients
from afterword.runtime.settings import Settings
from afterword.services import Services
from cli import stack as stacks
from local import dev, model_check
from local.models import Choice
from local.places import Place
from local.stack import Stack
from local.terminal import say
from tests.harness import model_endpoint
from tests.harness.model_endpoint import Endpoint


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """Serve an endpoint that takes all that it is asked."""
    with model_endpoint.answering() as endpoint:
        yield endpoint


@pytest.fixture
def stack(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """Return a stack whose model is at the endpoint, without its processes."""
    settings = {
        "AFTERWORD_MODEL_PROVIDER": "openai",
        "AFTERWORD_MODEL_ID": "some-model",
        "AFTERWORD_MODEL_URL": endpoint.url,
    }
    services = Services(clients(), Settings(settings), has_metrics=False)
    monkeypatch.setattr(stacks, "embedded", lambda *_: services)
    return stack_at("http://127.0.0.1:9")


def stack_at(aws: str) -> Stack:
    """Return a stack with its AWS at this address."""
    model = Choice(kind="openai", model="some-model", url="http://127.0.0.1:9/v1")
    place = Place(Path("/nowhere"))
    tenant = {
        "id": "demo",
        "api_key": "aw_key",
        "flows": {"dialonce": {"orchestrator": "mail-reply", "classifier": "mail-classes"}},
        "genai_stack": {"api_key": "aw_other"},
        "promptitude": {"flow": "joke", "inputs": {}},
        "unless": {"website": "questions"},
    }
    return Stack(place, "http://127.0.0.1:9", aws, {}, [tenant], model, {}, None)


def checked(stack: Stack, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Check a stack's model, and return the lines without their seconds."""
    asyncio.run(model_check.check_model(stack))
    return [
        " ".join(re.sub(r" *\d+\.\d ?s ", " ", line).split())
        for line in capsys.readouterr().out.splitlines()
    ]


def test_each_kind_of_answer_has_a_line(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    """The lines are those of the command, each with the time since the stack began to start."""
    assert [line.split(" 20 ")[0] for line in checked(stack, capsys)] == [
        "text works",
        "array works",
        "json works",
        "template works",
        "class works",
        "one token works",
    ]


def test_a_model_that_refuses_is_a_line(
    stack: Stack, endpoint: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model without a plain text has two lines, and the stack goes on."""
    endpoint.refuse = lambda _: (401, {"error": {"code": "invalid_api_key"}})
    failed, left = checked(stack, capsys)
    assert failed.startswith("text fails model_access_denied: ")
    assert left == "not asked array, json, template, class, one token: there is no text"


def test_a_check_that_fails_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """An AWS that does not answer is one line."""
    (line,) = checked(stack_at("http://127.0.0.1:9"), capsys)
    assert line.startswith("the model cannot be checked: Could not connect")


def test_the_check_has_an_end(
    stack: Stack, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow model is asked no more once the time for all questions is over."""
    monkeypatch.setattr(model_check, "ALL_SECONDS", 0.0)
    (line,) = checked(stack, capsys)
    assert line == "not asked text, array, json, template, class, one token: the time is over"


def test_a_stop_does_not_wait_for_the_model(stack: Stack, endpoint: Endpoint) -> None:
    """Ctrl-C ends the stack at once, though its model is being asked."""
    asked, ended = threading.Event(), threading.Event()

    def wait(_: BaseHTTPRequestHandler) -> None:
        asked.set()
        ended.wait(20)

    endpoint.server.pages["/v1/chat/completions"] = wait

    async def stop_while_it_is_asked() -> None:
        task = asyncio.ensure_future(model_check.check_model(stack))
        assert await asyncio.to_thread(asked.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    started = time.monotonic()
    try:
        asyncio.run(stop_while_it_is_asked())
        assert time.monotonic() - started < 10
    finally:
        ended.set()


@pytest.mark.parametrize(("value", "checks"), [(None, 1), ("1", 1), ("0", 0)])
def test_make_dev_checks_its_model_unless_told_not_to(
    value: str | None,
    checks: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The stack is ready before its model is asked; with AFTERWORD_MODEL_CHECK=0 none is."""

    async def check(_: Stack) -> None:
        say("the lines of the check")

    monkeypatch.setattr(dev, "check_model", check)
    monkeypatch.delenv(dev.CHECKS_MODEL, raising=False)
    if value is not None:
        monkeypatch.setenv(dev.CHECKS_MODEL, value)
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(dev.until_stopped(stack_at("http://127.0.0.1:9")), 0.1))
    ready, lines, after = capsys.readouterr().out.partition("Stop with Ctrl-C.\n")
    assert "ready" in ready
    assert lines
    assert after.count("the lines of the check") == checks
