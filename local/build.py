"""Builds the real template with `sam build`, when what it is made of has changed."""

import asyncio
import fcntl
import hashlib
import os
import platform
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from local import sizes
from local.places import BUILD, LOCAL, ROOT, Place, replace
from local.processes import Child, Nursery
from local.terminal import LocalError, say

SAM = ROOT / ".venv" / "sam" / "bin" / "sam"
STACK_PYTHON = ROOT / ".venv" / "stack" / "bin" / "python"
SOURCES = ("template.yaml", "layers", "functions")
TEMPLATE = BUILD / "build" / "template.yaml"
STAMP = BUILD / "build" / "sources.sha256"  # sam empties its folder first, the stamp included
STEP = re.compile(r"Building (?:layer '(\w+)'|codeuri: \S*/(functions/\w+))")
"""The lines with which sam begins a layer or a function."""
HOST_ARCH = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"


def check_environments(*programs: Path) -> None:
    """Raise LocalError when the interpreter, or a program of sam's or the stack's, is missing."""
    interpreter = Path(sys.base_exec_prefix) / "bin" / "python3.13"
    if not interpreter.exists():
        raise LocalError(f"Python 3.13 is missing ({interpreter}): install it and start again")
    for program in programs:
        if not program.exists():
            raise LocalError(
                f"{program.relative_to(ROOT)} is missing: run this with make, which installs it"
            )


async def command(_port: int) -> int:
    """Build for the deployment, and print how big all of it is.

    The architecture is x86_64, the template's default, or that of BUILD_ARCH.
    """
    check_environments(SAM)
    place = Place(LOCAL / "build")
    place.prepare()
    try:
        async with Nursery() as nursery:
            built = await build(nursery, place, os.environ.get("BUILD_ARCH", "x86_64"))
    finally:
        place.withdraw()
    measured = sizes.measure(yaml_parse(built.read_text()), built.parent)
    print("\n".join(measured.table()))
    for problem in measured.problems:
        print(f"over budget: {problem}")
    return 0


async def build(nursery: Nursery, place: Place, architecture: str = HOST_ARCH) -> Path:
    """Return the built template, building only if the sources or the architecture have changed.

    Raises LocalError with sam's own last line when it fails; its output is in the build log.
    """
    async with only_builder():
        stamp = await asyncio.to_thread(fingerprint, architecture)
        if TEMPLATE.exists() and STAMP.exists() and STAMP.read_text() == stamp:
            say("build: nothing has changed")
            return TEMPLATE
        say("build: sam build")
        child = await nursery.start(
            "build",
            [SAM, "build", "-t", ROOT / "template.yaml", "--build-dir", TEMPLATE.parent],
            env=environment(place, architecture),
            log=place.log("build"),
        )
        narrator = asyncio.create_task(narrate(child))
        how = await child.ended()
        narrator.cancel()
        if how != "exit code 0":
            raise LocalError(f"sam build failed: {child.last_line()} (see {child.log})")
        replace(STAMP, stamp)
        say("build: done")
        return TEMPLATE


@asynccontextmanager
async def only_builder() -> AsyncIterator[None]:
    """Wait until no other stack builds in this checkout."""
    with (BUILD / "lock").open("w") as lock:
        waiting = False
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not waiting:
                    say("build: another stack is building, waiting for it")
                waiting = True
                await asyncio.sleep(0.1)
        yield


def fingerprint(architecture: str) -> str:
    """Return a digest of everything that the built functions and layers depend on."""
    digest = hashlib.sha256(f"{architecture} {sys.version}".encode())
    for source in SOURCES:
        path = ROOT / source
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(ROOT)} {file.stat().st_size}\n".encode())
                digest.update(file.read_bytes())
    return digest.hexdigest()


def environment(place: Place, architecture: str) -> dict[str, str]:
    """Return sam's environment: the template's own Python first, nothing written elsewhere."""
    first = [Path(sys.base_exec_prefix) / "bin", ROOT / ".venv" / "bin", SAM.parent]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {
        "UV_CACHE_DIR": str(ROOT / ".venv" / "cache"),
        **kept,
        "PATH": os.pathsep.join([*map(str, first), kept.get("PATH", os.defpath)]),
        "TMPDIR": str(place.tmp),
        "BUILD_ARCH": architecture,
        "SAM_CLI_TELEMETRY": "0",
        "__SAM_CLI_APP_DIR": str(LOCAL / "sam"),
        "AWS_DEFAULT_REGION": "us-east-1",
    }


async def narrate(child: Child) -> None:
    """Say each step of sam's as it begins, until cancelled."""
    said = 0
    while True:
        steps = STEP.findall(child.output())
        for layer, function in steps[said:]:
            say(f"build: {layer or function}")
        said = len(steps)
        await asyncio.sleep(0.2)
