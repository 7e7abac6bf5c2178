"""The runs of docs/scale.md: the rates and tenants, and the deployment that they meet."""

import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from typing import Any

from rich.console import Console
from rich.progress import Progress

from bench.load import documented, page
from bench.load.recording import FLOW_CACHE, Recording
from bench.load.simulation import Load, Settings, Simulation
from tests.harness.deployment import Deployment, parsed_template

RATES, TENANTS = (1, 10, 100, 1_000), (1, 100)
STEPS = (10, 100, 1_000)
STEP_SECONDS = 600
RAISED = {"ApiRequestsPerSecond": "10000", **FLOW_CACHE}
"""The parameters of the runs."""
MORE = {"AccountConcurrency": "3000"}
"""The parameters of the last step besides, with the account's quota raised."""
CONSUMERS = ("generate", "deliver", "send_webhook")


def run(
    recording: Recording, seed: int, seconds: int, console: Console
) -> tuple[list[page.Row], list[page.Row]]:
    """Return the runs at all rates, and those that step from nothing to a rate."""
    template = parsed_template()
    deployment = Deployment(template, {})
    known = template["Parameters"]
    functions = {name: each.properties for name, each in deployment.functions.items()}
    defaults = page.Defaults(
        float(known["ApiRequestsPerSecond"]["Default"]),
        {name: int(each["MemorySize"]) for name, each in functions.items()},
        {name: int(each["Timeout"]) for name, each in functions.items()},
    )
    raised = settings(RAISED, documented.CONCURRENCY)
    more = settings(RAISED | MORE, 3_000)
    loads = [(Load(rate, tenants, seconds), raised) for rate in RATES for tenants in TENANTS]
    stepped = [(Load(rate, 100, STEP_SECONDS, ramp=0), raised) for rate in STEPS]
    stepped.append((Load(STEPS[-1], 100, STEP_SECONDS, ramp=0), more))
    rows = list(_run_all(recording, [*loads, *stepped], seed, defaults, console))
    return rows[: len(loads)], rows[len(loads) :]


def _run_all(
    recording: Recording,
    loads: Sequence[tuple[Load, Settings]],
    seed: int,
    defaults: page.Defaults,
    console: Console,
) -> Iterator[page.Row]:
    """Run all loads, each in a process, as many at once as there are cores; show how far."""
    processes = multiprocessing.get_context("spawn")  # a fork would copy the display's thread
    done = processes.Array("d", len(loads))
    with (
        Progress(console=console) as progress,
        ProcessPoolExecutor(mp_context=processes, initializer=_share, initargs=(done,)) as executor,
    ):
        tasks = []
        for load, _ in loads:
            kind = "" if load.ramp else ", at once"
            name = f"{load.rate:,.0f} a second of {load.tenants}{kind}"
            tasks.append(progress.add_task(name, total=1))
        longest = sorted(enumerate(loads), key=lambda each: -each[1][0].rate)
        futures = {
            number: executor.submit(_run_one, number, recording, its, load, seed, defaults)
            for number, (load, its) in longest
        }
        while wait(futures.values(), timeout=1).not_done:
            for task, part in zip(tasks, done[:], strict=True):
                progress.update(task, completed=part)
        for task in tasks:
            progress.update(task, completed=1)
        yield from (futures[number].result() for number in range(len(loads)))


_shared: list[Any] = []


def _share(done: object) -> None:
    """Keep the array in which a process notes how far its runs are."""
    _shared.append(done)


def _run_one(  # noqa: PLR0913, PLR0917 - a run's settings
    number: int,
    recording: Recording,
    its: Settings,
    load: Load,
    seed: int,
    defaults: page.Defaults,
) -> page.Row:
    """Run one load in a process of its own."""

    def note(part: float) -> None:
        _shared[-1][number] = part

    outcome = Simulation(recording, its, load, seed).run(note)
    return page.build_row(outcome, recording, defaults)


def settings(parameters: Mapping[str, str], concurrency: int) -> Settings:
    """Return the settings of the template with these parameters, those that it has."""
    template = parsed_template()
    known = {name: each for name, each in parameters.items() if name in template["Parameters"]}
    deployment = Deployment(template, known)
    functions = deployment.functions
    queues = {name: functions[name].queues[0] for name in CONSUMERS}
    default = template["Parameters"]["ApiRequestsPerSecond"]["Default"]
    return Settings(
        api_requests=float(known.get("ApiRequestsPerSecond", default)),
        concurrency=concurrency,
        memory={name: int(each.properties["MemorySize"]) for name, each in functions.items()},
        batch={name: int(each["BatchSize"]) for name, each in queues.items()},
        maximum={
            name: int(
                each.get("ScalingConfig", {}).get("MaximumConcurrency", documented.MAPPING_MAXIMUM)
            )
            for name, each in queues.items()
        },
    )
