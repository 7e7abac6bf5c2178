"""ministack, and before it the deployed HTTP API at plain paths. Runs in .venv/stack.

Usage: serve_aws.py AWS_FD API_FD API_PORT API_ID: two bound sockets, the port of the second, and
the id of the API. The first serves ministack's AWS endpoint as it is, but that its loopback counts
as HTTPS, which the bucket asks for. The second serves every path as the real API does, and puts
right the differences between ministack and API Gateway:

- 10 MB is the most a body can have, 30 s the longest an answer can take;
- a function that fails answers 500 with a fixed body, where ministack shows the exception's text;
- without CORS, OPTIONS is a method like any other;
- a body that is not UTF-8 reaches the function in base64, even with JSON's media type; ministack
  puts replacement characters into it;
- headers by which ministack takes a request for one to an AWS service do not reach it.

Each request in flight is a process of its own, so at most MAX_IN_FLIGHT go on at once; the others
wait for their turn.
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import hypercorn.asyncio  # type: ignore[import-not-found] # the stack's own environment
import hypercorn.config  # type: ignore[import-not-found]
from ministack.app import app as ministack  # type: ignore[import-not-found]

type Message = dict[str, Any]  # an ASGI message or scope
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]

MAX_BODY_BYTES = 10 * 1024 * 1024
MAX_SECONDS = 30.0
BAD_GATEWAY = 502
WITHOUT_CORS = b"CORS not configured"  # ministack's answer to a preflight
MAX_IN_FLIGHT = 16
TEXT_TYPES = (b"text/", b"application/json", b"application/xml", b"application/javascript")
WITHHELD = frozenset(
    {b"content-length", b"transfer-encoding"}  # of the connection, not of the body
    | {b"x-amz-content-sha256", b"x-amz-decoded-content-length"}
)


class Front:
    """ASGI application: ministack as it is on one port, the HTTP API on the other."""

    def __init__(self, api_port: int, api_id: str) -> None:
        self.api_port = api_port
        self.api_path = f"/_aws/execute-api/{api_id}/$default"  # ministack's address by path
        self.in_flight = asyncio.Semaphore(MAX_IN_FLIGHT)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one connection's scope."""
        if scope["type"] == "lifespan":
            await ministack(scope, receive, send)
        elif scope["server"][1] != self.api_port:
            headers = [*scope["headers"], (b"x-forwarded-proto", b"https")]
            await ministack({**scope, "headers": headers}, receive, send)
        elif scope["type"] == "http":
            await self.serve_api(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def serve_api(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one HTTP request as API Gateway would."""
        body = await read_body(receive)
        if body is None:
            await answer(send, 413, "Request Entity Too Large")
            return
        async with self.in_flight:
            try:
                async with asyncio.timeout(MAX_SECONDS):
                    start, content = await ask_ministack(self.address_api(scope, body), body)
            except TimeoutError:
                await answer(send, 503, "Service Unavailable")
                return
        if start["status"] == BAD_GATEWAY and not is_functions_own(start["headers"]):
            await answer(send, 500, "Internal Server Error")
            return
        if scope["method"] == "OPTIONS" and WITHOUT_CORS in content:
            await answer(send, 404, "Not Found")
            return
        await send(start)
        await send({"type": "http.response.body", "body": content})

    def address_api(self, scope: Message, body: bytes) -> Message:
        """Return the same request, addressed to the API by path, with the headers that may pass."""
        headers = [header for header in scope["headers"] if passes(*header, utf8=is_utf8(body))]
        if body:
            headers.append((b"content-length", str(len(body)).encode()))
        return {
            **scope,
            "path": self.api_path + scope["path"],
            "raw_path": self.api_path.encode() + scope["raw_path"],
            "headers": headers,
        }


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


async def ask_ministack(scope: Message, body: bytes) -> tuple[Message, bytes]:
    """Return the start message and the whole body of ministack's answer."""
    start: Message = {}
    content: list[bytes] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        else:
            content.append(message.get("body", b""))

    await ministack(scope, receive, send)
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


def main() -> None:
    """Serve both sockets until the process is stopped."""
    aws_fd, api_fd, api_port, api_id = sys.argv[1:5]
    config = hypercorn.config.Config()
    config.bind = [f"fd://{aws_fd}", f"fd://{api_fd}"]
    config.keep_alive_timeout = 75
    config.include_server_header = False
    os.umask(0o077)
    asyncio.run(hypercorn.asyncio.serve(Front(int(api_port), api_id), config))


if __name__ == "__main__":
    main()
