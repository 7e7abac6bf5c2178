"""`make invoke-all`: each function once, in Lambda's own container, with its sample event."""

import asyncio
import json
import os
import re
import shutil
from dataclasses import dataclass
from typing import Any

import httpx

from local.build import HOST_ARCH, SAM
from local.containers import bridge_address, ensure_image, find_engine, run_of_sam
from local.forwarding import Forwarding
from local.processes import Nursery
from local.sam_template import Templates, sam_environment, write_templates
from local.samples import Receiver, Sample, Samples, UnexpectedError
from local.stack import Stack, run
from local.terminal import LocalError, say

AT_ONCE = 2
INVOCATION_SECONDS = 180.0  # the first ones wait for their images to be built
DURATION = re.compile(r"\tDuration: ([\d.]+) ms")


@dataclass(frozen=True)
class Outcome:
    """The outcome of one invocation; `problem` is "" for the expected one."""

    sample: Sample
    result: str
    milliseconds: float | None
    problem: str


async def command(port: int) -> int:
    """Invoke all functions before a stack on `port` (0: any); 0 if each did as it must."""
    engine = await find_engine()
    await ensure_image(HOST_ARCH)
    receiver = Receiver()
    async with run_of_sam() as name, Forwarding(await bridge_address()) as forwarding:
        address = await forwarding.to(receiver.port)
        # The samples' webhooks are at a name that no server knows.
        allowed = f"{address},hooks.example.com:443"
        settings = {
            "AFTERWORD_MODEL_PROVIDER": "demo",
            "AFTERWORD_EMBEDDING": "demo",  # the embedder is a function as well
            "AFTERWORD_FETCH_ALLOWED": allowed,
        }

        async def use(stack: Stack) -> int:
            with receiver.serving():
                samples = Samples(stack, receiver, address)
                return await invoke_all(stack, samples, forwarding, engine, name)

        return await run(port, use, announce=False, environ={**os.environ, **settings})


async def invoke_all(
    stack: Stack, samples: Samples, forwarding: Forwarding, engine: str, run_name: str
) -> int:
    """Invoke them, some at once, and tell of each as it comes back; return the exit code."""
    say("sam: the functions' environments and roles")
    templates = await write_templates(stack, run_name, forwarding)
    names = {folder: name for name, folder in templates.folders.items()}
    say("samples: making what they are about")
    try:
        prepared = await asyncio.to_thread(samples.prepared, set(names))
    except UnexpectedError as error:
        raise LocalError(f"could not make the things that the samples name: {error}") from error
    turn = asyncio.Semaphore(AT_ONCE)
    async with Nursery() as nursery:

        async def one(sample: Sample) -> Outcome:
            async with turn:
                outcome = await invoke(
                    nursery, stack, templates, names[sample.folder], sample, engine
                )
            took = "" if outcome.milliseconds is None else f"{outcome.milliseconds:6.0f} ms"
            say(f"{sample.name:24} {took:>9}  {outcome.problem or outcome.result}")
            return outcome

        outcomes = await asyncio.gather(*map(one, prepared))
    failed = [outcome for outcome in outcomes if outcome.problem]
    if failed:
        for outcome in failed:
            print(f"{outcome.sample.name}: {outcome.problem}", flush=True)
        say(f"{len(failed)} of {len(outcomes)} did not do as they must: see {stack.place.folder}")
        return 1
    say(f"all {len(outcomes)} did as they must")
    await asyncio.to_thread(shutil.rmtree, stack.place.folder, ignore_errors=True)
    return 0


async def invoke(  # noqa: PLR0913, PLR0917 - what an invocation is made of
    nursery: Nursery,
    stack: Stack,
    templates: Templates,
    function: str,
    sample: Sample,
    engine: str,
) -> Outcome:
    """Invoke a function by its name in the template with one sample."""
    event, answer = (
        stack.place.tmp / f"{sample.name}.{kind}" for kind in ("event.json", "answer.json")
    )
    event.write_text(json.dumps(sample.event))
    child = await nursery.start(
        sample.name,
        [
            *(SAM, "local", "invoke", function, "--event", event),
            *("--template", templates.whole, "--skip-pull-image"),
            *("--layer-cache-basedir", stack.place.tmp),
        ],
        env=sam_environment(stack.place, engine),
        log=stack.place.log(f"invoke-{sample.name}"),
        answer=answer,
    )
    try:
        async with asyncio.timeout(INVOCATION_SECONDS):
            how = await child.ended()
    except TimeoutError:
        how = "it takes too long"
    await child.stop()
    took = DURATION.findall(child.output())
    milliseconds = float(took[-1]) if took else None
    if how != "exit code 0":
        return Outcome(sample, "", milliseconds, f"sam: {how}: {child.last_line()}")
    try:
        returned = reply(answer.read_text(), child.last_line())
        result = await asyncio.to_thread(sample.check, returned)
    except UnexpectedError as error:
        return Outcome(sample, "", milliseconds, str(error))
    except (httpx.HTTPError, ValueError, LookupError) as error:
        return Outcome(sample, "", milliseconds, f"{type(error).__name__}: {error}")
    return Outcome(sample, result, milliseconds, "")


def reply(printed: str, last_line: str) -> Any:  # noqa: ANN401 - any JSON may come
    """Return the function's result, or raise UnexpectedError when there is none.

    The exit code of `sam local invoke` is 0 even if the function fails.
    """
    for line in reversed(printed.splitlines()):
        try:
            return json.loads(line)
        except ValueError:
            continue
    raise UnexpectedError(f"there is no reply: {last_line}")
