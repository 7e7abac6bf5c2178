"""`make sam-local`: the API's functions in Lambda's own containers, before an embedded stack."""

import asyncio
import socket
import time
from dataclasses import replace
from typing import NoReturn

import httpx

from local.build import HOST_ARCH, SAM
from local.containers import bridge_address, ensure_image, find_engine, run_of_sam
from local.dev import introduction
from local.forwarding import Forwarding
from local.places import ROOT, Place
from local.processes import LOOPBACK, Child, Nursery, hold_port, port_of
from local.sam_template import Templates, sam_environment, write_templates
from local.stack import Stack, run, unless_one_ends
from local.terminal import LocalError, say

READY_SECONDS = 180.0  # the first run on a machine builds an image
POLL_SECONDS = 0.2
FORM = "-d 'question=What is the capital of France?'"  # sam cannot pass on files


async def command(port: int) -> int:
    """Run a stack with sam's API before it, on `port`, until cancelled."""
    engine = await find_engine()
    await ensure_image(HOST_ARCH)
    held = hold_port(port)
    async with run_of_sam() as name:

        async def use(stack: Stack) -> int:
            return await serve(stack, held, engine, name)

        return await run(0, use, announce=False, place=Place.of(port_of(held)))


async def serve(stack: Stack, held: socket.socket, engine: str, run_name: str) -> int:
    """Have sam serve the API on the port that is held for it, until cancelled.

    Raises LocalError when sam cannot, or ends.
    """
    port = port_of(held)
    stack = replace(stack, url=f"http://{LOOPBACK}:{port}")
    async with Forwarding(await bridge_address()) as forwarding, Nursery() as nursery:
        say("sam: the functions' environments and roles")
        templates = await write_templates(stack, run_name, forwarding)
        held.close()
        sam = await start_api(nursery, stack.place, templates, port, engine)

        async def use() -> int:
            await answering(stack, sam)
            stack.place.announce(stack.facts(sam=sam.pid))
            say("ready")
            print(introduction(stack, FORM, more(sam, templates)), flush=True)
            await asyncio.Event().wait()
            return 0

        return await unless_one_ends(use(), ended(sam))


def more(sam: Child, templates: Templates) -> str:
    """Return the hints for single functions and logs."""
    log, template = (path.relative_to(ROOT) for path in (sam.log, templates.whole))
    return f"""The first request to a function takes seconds, while sam starts its container.

One function by itself (docs/sam-local.md has more):
  .venv/sam/bin/sam local invoke SweepFunction -e events/sweep.json \\
    -t {template} --skip-pull-image

What sam and the functions log is in {log}."""


async def start_api(
    nursery: Nursery, place: Place, templates: Templates, port: int, engine: str
) -> Child:
    """Start `sam local start-api`; containers start with the first request to their function."""
    say("sam: starting the API")
    return await nursery.start(
        "sam",
        [
            *(SAM, "local", "start-api", "--template", templates.api),
            *("--host", LOOPBACK, "--port", str(port)),
            *("--warm-containers", "LAZY", "--no-watch", "--skip-pull-image"),
            *("--layer-cache-basedir", place.tmp),
        ],
        env=sam_environment(place, engine),
        log=place.log("sam"),
    )


async def answering(stack: Stack, sam: Child) -> None:
    """Wait until a function in a container answers with what it has from the stack's AWS."""
    deadline = time.monotonic() + READY_SECONDS
    headers = {"Authorization": f"Bearer {stack.tenants[0]['api_key']}"}
    async with httpx.AsyncClient(timeout=READY_SECONDS) as client:
        while True:
            try:
                answer = await client.get(f"{stack.url}/v1/flows", headers=headers)
                break
            except httpx.TransportError as error:
                if time.monotonic() > deadline:
                    raise LocalError(f"sam does not answer: {error} (see {sam.log})") from error
                await asyncio.sleep(POLL_SECONDS)
    if answer.status_code != httpx.codes.OK:
        raise LocalError(
            f"a function in a container answers {answer.status_code} (see {sam.log}): a firewall"
            " may keep containers from this machine"
        )


async def ended(sam: Child) -> NoReturn:
    """Wait for sam to end, and raise LocalError then."""
    how = await sam.ended()
    raise LocalError(f"sam ended ({how}): {sam.last_line()} (see {sam.log})")
