"""Docker, as sam uses it: the engine, the image, and the containers that a run has started.

Each container of a run has the run's name in its environment from the moment that it exists. So a
run ends with its own containers gone, and no other sam on this machine notices.
"""

import asyncio
import fcntl
import json
import os
import secrets
import socket
import struct
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from local.places import LOCAL
from local.terminal import LocalError, say

MARK = "AFTERWORD_SAM_RUN"  # the variable that has the run's name
RUNS = LOCAL / "runs"
IMAGE = "public.ecr.aws/lambda/python:3.13-{architecture}"
OF_SAM = "label=sam.cli.container.type=lambda"
REMOVE_TRIES = 10
AFTERTHOUGHT_SECONDS = 0.5  # for what the engine was about to create when sam was killed
GET_INTERFACE_ADDRESS = 0x8915  # ioctl(2): SIOCGIFADDR
INTERFACE_NAME_BYTES = 15
INSTEAD = "or use `make dev`, which needs no Docker"


async def find_engine() -> str:
    """Return the address of the engine that `docker` uses.

    Raises LocalError when there is no `docker`, or the engine does not answer.
    """
    try:
        host = await docker("context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
    except FileNotFoundError as error:
        raise LocalError(f"Docker is not installed: install it, {INSTEAD}") from error
    try:
        await docker("version", "--format", "{{.Server.Version}}")
    except DockerError as error:
        raise LocalError(
            f"Docker does not answer at {host} ({error}): start it, {INSTEAD}"
        ) from error
    return host


async def ensure_image(architecture: str) -> None:
    """Pull the image that sam runs functions in, if it is not here."""
    image = IMAGE.format(architecture=architecture)
    try:
        await docker("image", "inspect", "--format", "{{.Id}}", image)
    except DockerError:
        say(f"docker: pulling {image}")
        try:
            await docker("pull", "--quiet", image)
        except DockerError as error:
            raise LocalError(
                f"the image {image} is not on this machine and cannot be pulled: {error}"
            ) from error


async def bridge_address() -> str | None:
    """Return this machine's address on the network of containers, None if it has none there."""
    template = '{{index .Options "com.docker.network.bridge.name"}}'
    name = await docker("network", "inspect", "bridge", "--format", template)
    request = struct.pack("256s", name.encode()[:INTERFACE_NAME_BYTES])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            answer = fcntl.ioctl(asking.fileno(), GET_INTERFACE_ADDRESS, request)
        except OSError:
            return None
    return socket.inet_ntoa(answer[20:24])


@asynccontextmanager
async def run_of_sam() -> AsyncIterator[str]:
    """Give a run of sam its name, and remove its containers when it is over.

    Containers of earlier runs are removed first: the lock of a run that was killed is free. Enter
    this before the processes of the run, so that they have ended when it ends.
    """
    RUNS.mkdir(parents=True, exist_ok=True)
    for abandoned in sorted(RUNS.iterdir()):
        await remove_abandoned(abandoned)
    path = RUNS / secrets.token_hex(8)
    draft = LOCAL / f"run-{path.name}"  # other runs may not see the file before the lock
    with draft.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        draft.rename(path)
        try:
            yield path.name
        finally:
            try:
                say("docker: removing the containers")
                await remove_containers(path.name)
            except DockerError as error:
                raise LocalError(
                    f"the containers cannot be removed ({error}): the next start does it"
                ) from error
            await asyncio.to_thread(path.unlink)


async def remove_abandoned(path: Path) -> None:
    """Remove the containers of a run whose process is gone."""
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        if removed := await remove_containers(path.name):
            say(f"docker: removed {removed} containers of a run that was killed")
        await asyncio.to_thread(path.unlink, missing_ok=True)


async def remove_containers(run: str) -> int:
    """Remove all containers of a run, whose sam has ended, and return how many there were."""
    removed: set[str] = set()
    for pause in (0.0, AFTERTHOUGHT_SECONDS):
        await asyncio.sleep(pause)
        tries = REMOVE_TRIES
        while found := await containers(run):
            removed.update(found)
            tries -= 1
            try:
                await docker("rm", "--force", "--volumes", *found)
            except DockerError:  # one that somebody else removes is gone by the next look
                if not tries:
                    raise
                await asyncio.sleep(AFTERTHOUGHT_SECONDS)
    return len(removed)


async def containers(run: str) -> list[str]:
    """Return the ids of a run's containers, in whatever state they are."""
    ids = (await docker("ps", "--all", "--quiet", "--no-trunc", "--filter", OF_SAM)).split()
    if not ids:
        return []
    inspected = json.loads(await docker("inspect", "--type", "container", *ids, partly=True))
    return [each["Id"] for each in inspected if f"{MARK}={run}" in (each["Config"]["Env"] or ())]


class DockerError(LocalError):
    """The `docker` command failed; the message is the last line that it said."""


async def docker(*arguments: str, partly: bool = False) -> str:
    """Run a `docker` command and return what it prints.

    `partly`: its output for some containers counts even if it fails for others, which may be gone.
    """
    process = await asyncio.create_subprocess_exec(
        "docker",
        *arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ,
        process_group=0,  # Ctrl-C is for us: cleaning up goes on
    )
    try:
        output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode and not (partly and output.strip()):
        lines = errors.decode(errors="replace").strip().splitlines()
        raise DockerError(lines[-1].strip() if lines else f"docker {arguments[0]} failed")
    return output.decode().strip()
