"""The front of the embedded stack: how much goes on at once, and for how long."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from local.front import Front, Limits, Message, Receive, Send, slowness

API_PORT, AWS_PORT = 8080, 4566
NEVER = 600.0


class Functions:
    """A stand-in of ministack, whose functions answer when they are told to."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.most = 0
        self._running = 0
        self._free = asyncio.Event()
        self._changed = asyncio.Condition()

    async def __call__(self, scope: Message, _receive: Receive, send: Send) -> None:
        """Answer with 200 once this is free; go on until then even when cancelled."""
        self.begun.append(scope["path"].rpartition("/")[2])
        self._running += 1
        self.most = max(self.most, self._running)
        async with self._changed:
            self._changed.notify_all()
        cancelled = await self._go_on()
        self._running -= 1
        if cancelled:
            raise asyncio.CancelledError
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    async def _go_on(self) -> bool:
        """Wait until this is free; return whether the wait was cancelled."""
        cancelled = False
        while not self._free.is_set():
            try:
                await self._free.wait()
            except asyncio.CancelledError:
                cancelled = True
        return cancelled

    def free(self) -> None:
        """Let all functions answer, now and later."""
        self._free.set()

    async def until_begun(self, number: int) -> None:
        """Wait until so many requests have reached a function."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.begun) >= number)


async def request(front: Front, path: str = "/health", port: int = API_PORT) -> Message:
    """Send a GET and return the start of the response with its body."""
    response: Message = {}

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        response.update(message)

    scope = {
        "type": "http",
        "method": "GET",
        "server": ("127.0.0.1", port),
        "path": path,
        "raw_path": path.encode(),
        "headers": [],
    }
    await front(scope, receive, send)
    return response


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test in a loop of its own, for ten seconds at most."""

    async def bounded() -> None:
        async with asyncio.timeout(10):
            await test()

    asyncio.run(bounded())


def test_a_request_has_a_turn_until_it_is_answered() -> None:
    """Of 50 requests at once, as many are with functions as there are turns."""

    async def test() -> None:
        functions = Functions()
        limits = Limits(in_flight=16, turns=4, turn_seconds=NEVER)
        front = Front(functions, API_PORT, "api", limits)
        requests = [asyncio.ensure_future(request(front)) for _ in range(50)]
        await functions.until_begun(4)
        functions.free()
        responses = await asyncio.gather(*requests)
        assert functions.most == 4
        assert [response["status"] for response in responses] == [200] * 50

    run(test)


def test_a_request_that_waits_gives_its_turn_to_another() -> None:
    """After its turn a request goes on without one, but no more than `in_flight` go on."""

    async def test() -> None:
        functions = Functions()
        limits = Limits(in_flight=3, turns=1, turn_seconds=0.0)
        front = Front(functions, API_PORT, "api", limits)
        requests = [asyncio.ensure_future(request(front)) for _ in range(5)]
        await functions.until_begun(3)
        functions.free()
        await asyncio.gather(*requests)
        assert functions.most == 3
        assert len(functions.begun) == 5

    run(test)


def test_an_answer_that_takes_too_long_is_a_503() -> None:
    """A function that goes on does not keep its client waiting, and nor does a missing turn."""

    async def test() -> None:
        functions = Functions()
        limits = Limits(in_flight=1, turns=1, turn_seconds=NEVER, seconds=0.01)
        front = Front(functions, API_PORT, "api", limits)
        response, without_turn = await asyncio.gather(
            request(front, "/first"), request(front, "/second")
        )
        assert response["status"] == without_turn["status"] == 503
        assert without_turn["body"] == b'{"message":"Service Unavailable"}'
        assert functions.begun == ["first"]
        functions.free()

    run(test)


def test_a_place_is_taken_until_the_function_has_ended() -> None:
    """A request whose client was told 503 keeps its place, because its process goes on."""

    async def test() -> None:
        functions = Functions()
        limits = Limits(in_flight=1, turns=1, turn_seconds=0.0, seconds=0.01)
        front = Front(functions, API_PORT, "api", limits)
        assert (await request(front, "/first"))["status"] == 503
        assert (await request(front, "/second"))["status"] == 503
        assert functions.begun == ["first"]
        functions.free()

    run(test)


def test_a_turn_is_longer_on_a_busy_machine() -> None:
    """A start that shares its core with three others is no wait after a second."""
    assert slowness(8.0, cores=2) == 4
    assert slowness(0.3, cores=2) == 1


def test_the_aws_endpoint_has_no_turns() -> None:
    """Requests of functions to AWS are never kept waiting for the API's."""

    async def test() -> None:
        functions = Functions()
        limits = Limits(in_flight=1, turns=1, turn_seconds=NEVER)
        front = Front(functions, API_PORT, "api", limits)
        waiting = asyncio.ensure_future(request(front, "/api"))
        await functions.until_begun(1)
        of_aws = asyncio.ensure_future(request(front, "/aws", AWS_PORT))
        await functions.until_begun(2)
        assert functions.begun == ["api", "aws"]
        functions.free()
        await asyncio.gather(waiting, of_aws)

    run(test)
