"""The functions that are started before a stack is ready."""

import asyncio
from collections import Counter
from collections.abc import Iterator

import pytest

from afterword.tenants.keys import parse_key
from local.front import TURNS
from local.terminal import LocalError
from local.warming import MAILS, READINGS, SUBMISSIONS, start_api
from tests.harness.web_servers import Server, file, serving


@pytest.fixture
def api() -> Iterator[Server]:
    """Serve an API that knows nobody's key."""
    with serving(None) as server:
        for _, path in (*SUBMISSIONS, *READINGS):
            server.pages[path] = file(b"{}", 401)
        yield server


def start(api: Server) -> None:
    """Start the functions of the API."""
    asyncio.run(start_api(f"http://127.0.0.1:{api.port}"))


def test_a_function_that_submits_is_asked_as_often_as_there_are_turns(api: Server) -> None:
    """Requests with a key of nobody ask each function: for submissions on each turn, else once."""
    start(api)
    asked = Counter(path for _, path in api.requests)
    assert asked == {
        **{path: TURNS for _, path in SUBMISSIONS},
        **{path: 1 for _, path in READINGS},
    }
    (key,) = {headers["Authorization"].removeprefix("Bearer ") for headers in api.headers}
    assert parse_key(key) is not None


def test_a_machine_too_busy_for_all_starts_goes_on(api: Server) -> None:
    """A 503 of the front, whose function starts all the same, does not end the stack."""
    api.pages[MAILS] = file(b"{}", 503)
    start(api)


def test_a_function_that_fails_is_said(api: Server) -> None:
    """Any other answer is one line with the request, the status and the body."""
    api.pages[MAILS] = file(b'{"message":"Internal Server Error"}', 500)
    with pytest.raises(LocalError, match=rf"^POST http.*{MAILS} answers 500: .*Internal"):
        start(api)


def test_an_api_that_hangs_up_is_said(api: Server) -> None:
    """An API without an answer is one line with its address."""
    api.pages[MAILS] = lambda request: request.connection.close()
    with pytest.raises(LocalError, match=r"^http://127\.0\.0\.1:\d+ does not answer: "):
        start(api)
