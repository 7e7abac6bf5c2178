"""Lets containers reach the servers of this machine that listen on loopback only."""

import asyncio
from contextlib import suppress
from typing import Self

from local.processes import LOOPBACK

CHUNK_BYTES = 64 * 1024
HOST_NAME = "host.docker.internal"  # Docker Desktop's name of the machine, loopback included


class Forwarding:
    """Takes connections at one address of this machine and passes them on to ports of loopback.

    The address is the one that Docker's bridge has here; without any, Docker runs in a machine of
    its own, as Docker Desktop does, and forwards by itself.
    """

    def __init__(self, address: str | None) -> None:
        self._address = address
        self._opening = asyncio.Lock()
        self._ports: dict[int, int] = {}
        self._servers: list[asyncio.Server] = []
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for server in self._servers:
            server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    @property
    def host(self) -> str:
        """The name of this machine in containers."""
        return self._address or HOST_NAME

    async def to(self, port: int) -> str:
        """Return the host and port at which containers reach a port of loopback."""
        if not self._address:
            return f"{HOST_NAME}:{port}"
        async with self._opening:
            if port not in self._ports:
                self._ports[port] = await self._open(port)
        return f"{self._address}:{self._ports[port]}"

    async def _open(self, port: int) -> int:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(OSError):  # one side went away, and the other hears of it
                await exchange(reader, writer, port)

        def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connection = asyncio.ensure_future(connected(reader, writer))
            self._connections.add(connection)
            connection.add_done_callback(self._connections.discard)

        server = await asyncio.start_server(accepted, self._address, 0)
        self._servers.append(server)
        opened: int = server.sockets[0].getsockname()[1]
        return opened


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    """Carry bytes between a connection and a port of loopback until both sides have ended."""
    try:
        answers, questions = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        writer.transport.abort()
        raise
    await asyncio.gather(carry(reader, questions), carry(answers, writer))


async def carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Copy one direction until its end; a failure closes the target."""
    try:
        while chunk := await source.read(CHUNK_BYTES):
            target.write(chunk)
            await target.drain()
        if target.can_write_eof():
            target.write_eof()
    except BaseException:
        target.transport.abort()
        raise
