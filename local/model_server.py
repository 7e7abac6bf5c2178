"""The servers of the demo models: started, watched, and started again when they die."""

import asyncio
from collections.abc import Callable
from typing import NoReturn

import httpx

from local.build import STACK_PYTHON
from local.places import ROOT, Place
from local.processes import LOOPBACK, Child, Nursery, hold_port, port_of
from local.terminal import LocalError, say

READY_SECONDS = 120.0
QUICK_SECONDS = 5.0
QUICK_DEATHS = 5


class ModelServer:
    """llama.cpp with a demo model, always on the same port.

    `script` is the one of this folder that serves it, and `name` that of its log.
    """

    def __init__(
        self,
        nursery: Nursery,
        place: Place,
        name: str = "model",
        script: str = "serve_model.py",
    ) -> None:
        self._nursery = nursery
        self._place = place
        self._name = name
        self._script = ROOT / "local" / script
        self._port = hold_port(0, shared=True)  # ours even while the server is down
        self._child: Child | None = None

    @property
    def url(self) -> str:
        """The base URL of its OpenAI API."""
        return f"http://{LOOPBACK}:{port_of(self._port)}/v1"

    @property
    def pid(self) -> int | None:
        """The running server's process id."""
        return self._child.pid if self._child else None

    async def start(self) -> None:
        """Start the server and return once it answers; raise LocalError if it ends before."""
        child = await self._spawn()
        if not await self._answering(child):
            raise LocalError(
                f"the {self._name} server did not start ({await child.ended()}):"
                f" {child.last_line()} (see {child.log})"
            )

    async def keep(self, restarted: Callable[[], None]) -> NoReturn:
        """Start the server again each time it dies, and call `restarted` when it answers.

        Raises LocalError when it keeps dying as soon as it is started.
        """
        quick = 0
        while child := self._child:
            how = await child.ended()
            quick = quick + 1 if child.age() < QUICK_SECONDS else 0
            if quick >= QUICK_DEATHS:
                raise LocalError(f"the {self._name} server keeps dying ({how}): see {child.log}")
            say(f"the {self._name} server died ({how}): starting it again at {self.url}")
            await child.stop()
            if await self._answering(await self._spawn()):
                restarted()
        raise LocalError(f"the {self._name} server was never started")

    async def _spawn(self) -> Child:
        self._child = await self._nursery.start(
            self._name,
            [STACK_PYTHON, "-P", self._script, str(port_of(self._port))],
            env={"PATH": "/usr/bin:/bin", "TMPDIR": str(self._place.tmp)},
            log=self._place.log(self._name),
        )
        return self._child

    async def _answering(self, child: Child) -> bool:
        """Wait until the server answers; False when it has ended before."""
        ended = asyncio.ensure_future(child.ended())
        try:
            async with asyncio.timeout(READY_SECONDS), httpx.AsyncClient() as client:
                while not ended.done():
                    if await answers(client, self.url):
                        return True
                    await asyncio.wait([ended], timeout=0.05)
        except TimeoutError as error:
            why = f"the {self._name} server does not answer (see {child.log})"
            raise LocalError(why) from error
        finally:
            ended.cancel()
        return False


async def answers(client: httpx.AsyncClient, url: str) -> bool:
    """Whether the server has loaded its model."""
    try:
        answer = await client.get(url.removesuffix("/v1") + "/health", timeout=2)
    except httpx.HTTPError:
        return False
    return answer.status_code == httpx.codes.OK
