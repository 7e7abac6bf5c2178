"""The deployed HTTP API at plain paths, as API Gateway serves it, before ministack.

An ASGI application of two ports. On the AWS endpoint's port ministack is served as it is, but that
its loopback counts as HTTPS, which the bucket asks for. The other one serves every path as the real
API does, and puts right the differences between ministack and API Gateway:

- 10 MB is the most a body can have, 30 s the longest an answer can take, with the wait for a turn;
- a function that fails answers 500 with a fixed body, where ministack shows the exception's text;
- without CORS, OPTIONS is a method like any other;
- a body that is not UTF-8 reaches the function in base64, even with JSON's media type; ministack
  puts replacement characters into it;
- headers by which ministack takes a request for one to an AWS service do not reach it.

Each request in flight occupies a process, and a process takes a third of a second of a core to
start. So few requests have a turn at once. A request that is not answered after a second, or more
on a busy machine, waits for something else than a core, such as a worker, and gives its turn to
another.
"""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

type Message = dict[str, Any]  # an ASGI message or scope
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]
type App = Callable[[Message, Receive, Send], Awaitable[None]]

MAX_BODY_BYTES = 10 * 1024 * 1024
CORES = os.cpu_count() or 1
TURNS = CORES + 1  # one for a request that waits for AWS
BAD_GATEWAY = 502
WITHOUT_CORS = b"CORS not configured"  # ministack's answer to a preflight
TEXT_TYPES = (b"text/", b"application/json", b"application/xml", b"application/javascript")
WITHHELD = frozenset(
    {b"content-length", b"transfer-encoding"}  # of the connection, not of the body
    | {b"x-amz-content-sha256", b"x-amz-decoded-content-length"}
)


@dataclass(frozen=True)
class Limits:
    """How much goes on at once, and for how long."""

    in_flight: int = 16
    turns: int = TURNS
    turn_seconds: float = 1.0
    seconds: float = 30.0  # API Gateway's own


class Front:
    """ASGI application: ministack as it is on one port, the HTTP API on the other."""

    def __init__(
        self, ministack: App, api_port: int, api_id: str, limits: Limits | None = None
    ) -> None:
        self._ministack = ministack
        self._api_port = api_port
        self._api_path = f"/_aws/execute-api/{api_id}/$default"  # ministack's address by path
        self._limits = limits or Limits()
        self._in_flight = asyncio.Semaphore(self._limits.in_flight)
        self._turns = asyncio.Semaphore(self._limits.turns)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one connection's scope."""
        if scope["type"] == "lifespan":
            await self._ministack(scope, receive, send)
        elif scope["server"][1] != self._api_port:
            headers = [*scope["headers"], (b"x-forwarded-proto", b"https")]
            await self._ministack({**scope, "headers": headers}, receive, send)
        elif scope["type"] == "http":
            await self._serve_api(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _serve_api(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one HTTP request as API Gateway would."""
        body = await read_body(receive)
        if body is None:
            await answer(send, 413, "Request Entity Too Large")
            return
        asking = asyncio.ensure_future(self._ask(self._address_api(scope, body), body))
        done, _ = await asyncio.wait({asking}, timeout=self._limits.seconds)
        if not done:
            # A request without a turn is not begun any more; a function that has begun goes on.
            asking.cancel()
            await answer(send, 503, "Service Unavailable")
            return
        start, content = asking.result()
        if start["status"] == BAD_GATEWAY and not is_functions_own(start["headers"]):
            await answer(send, 500, "Internal Server Error")
            return
        if scope["method"] == "OPTIONS" and WITHOUT_CORS in content:
            await answer(send, 404, "Not Found")
            return
        await send(start)
        await send({"type": "http.response.body", "body": content})

    async def _ask(self, scope: Message, body: bytes) -> tuple[Message, bytes]:
        """Return ministack's answer, once the request has a turn.

        The place of a cancelled request is taken until its function has ended.
        """
        async with self._in_flight, asyncio.TaskGroup() as group, self._turns:
            asking = group.create_task(ask(self._ministack, scope, body))
            turn = self._limits.turn_seconds * slowness(os.getloadavg()[0], CORES)
            await asyncio.wait({asking}, timeout=turn)
        return asking.result()

    def _address_api(self, scope: Message, body: bytes) -> Message:
        """Return the same request, addressed to the API by path, with the headers that may pass."""
        headers = [header for header in scope["headers"] if passes(*header, utf8=is_utf8(body))]
        if body:
            headers.append((b"content-length", str(len(body)).encode()))
        return {
            **scope,
            "path": self._api_path + scope["path"],
            "raw_path": self._api_path.encode() + scope["raw_path"],
            "headers": headers,
        }


def slowness(load: float, cores: int) -> float:
    """Return how many times longer than on idle cores work takes, at this load of all cores."""
    return max(1.0, load / cores)


def passes(name: bytes, value: bytes, *, utf8: bool) -> bool:
    """Whether a header may reach ministack; without its type, a body is passed on in base64."""
    if name == b"content-type":
        return utf8 or not value.strip().lower().startswith(TEXT_TYPES)
    if name == b"content-encoding":
        return b"aws-chunked" not in value
    return name not in WITHHELD


def is_functions_own(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether a function has answered so itself: ministack answers 502 for one that has failed."""
    return any(name.lower() == b"cache-control" for name, _ in headers)


def is_utf8(body: bytes) -> bool:
    """Whether the bytes are UTF-8."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


async def read_body(receive: Receive) -> bytes | None:
    """Return the request body, None if API Gateway would not take it or the client went away."""
    chunks: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return None
        more = message.get("more_body", False)
        size += len(message.get("body", b""))
        if size <= MAX_BODY_BYTES:
            chunks.append(message.get("body", b""))
    return b"".join(chunks) if size <= MAX_BODY_BYTES else None


async def ask(app: App, scope: Message, body: bytes) -> tuple[Message, bytes]:
    """Return the start message and the whole body of the application's answer."""
    start: Message = {}
    content: list[bytes] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        else:
            content.append(message.get("body", b""))

    await app(scope, receive, send)
    return start, b"".join(content)


async def answer(send: Send, status: int, message: str) -> None:
    """Send one of API Gateway's own answers."""
    body = json.dumps({"message": message}, separators=(",", ":")).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
