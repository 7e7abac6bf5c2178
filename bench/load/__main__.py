"""`python -m bench.load`: records the paths, simulates the load, and writes docs/scale.md."""

import argparse
import platform
import secrets
import time
from collections.abc import Callable, Mapping

from rich.console import Console
from rich.progress import Progress, TaskID

from bench.load import documented, page
from bench.load.recording import Recording, record
from bench.load.simulation import Load, Settings, Simulation
from tests.harness.deployment import Deployment, parsed_template

SEED = 14
RATES, TENANTS = (1, 10, 100, 1_000), (1, 100)
STEPS = (10, 100, 1_000)
STEP_SECONDS = 600
RAISED = {"ApiRequestsPerSecond": "10000"}
"""The parameters of the runs."""
MORE = {"AccountConcurrency": "3000"}
"""The parameters of the last step besides, with the account's quota raised."""
CONSUMERS = ("generate", "deliver", "send_webhook")


def main() -> None:
    """Run everything; rewrite the page's tables and the plot."""
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED, help="the seed of all runs")
    parser.add_argument("--fresh", action="store_true", help="take a fresh seed, and print it")
    parser.add_argument("--seconds", type=int, default=3_600, help="of each run (3600)")
    arguments = parser.parse_args()
    seed = secrets.randbits(32) if arguments.fresh else arguments.seed
    console = Console()
    console.print(f"seed {seed}")
    begun = time.monotonic()
    recording = record(lambda what: console.print(f"recording {what}"))
    rows, steps = run(recording, seed, arguments.seconds, console)
    facts = {
        "made by": "`make load`",
        "seed": f"{seed}",
        "machine": f"CPython {platform.python_version()}, {platform.machine()}",
        "seconds of each run": f"{arguments.seconds:,}, after a rise of {Load(1, 1).ramp:,}",
        "parameters of the runs": ", ".join(f"`{name}={value}`" for name, value in RAISED.items()),
        "quotas and prices as of": documented.AS_OF,
        "new instance's imports": ", ".join(
            f"{name} {cpu:,.0f} ms" for name, cpu in recording.imports.items()
        ),
    }
    page.write_page(rows, steps, recording, facts)
    console.print(f"wrote {page.PAGE} and {page.PICTURE} in {time.monotonic() - begun:,.0f} s")


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
    rows = []
    with Progress(console=console) as progress:
        for load, its in [*loads, *stepped]:
            kind = "" if load.ramp else ", at once"
            task = progress.add_task(f"{load.rate:,.0f} a second of {load.tenants}{kind}", total=1)
            outcome = Simulation(recording, its, load, seed).run(_show(progress, task))
            progress.update(task, completed=1)
            rows.append(page.build_row(outcome, recording, defaults))
            outcome.ages = outcome.ages[:0]
    return rows[: len(loads)], rows[len(loads) :]


def _show(progress: Progress, task: TaskID) -> Callable[[float], None]:
    return lambda done: progress.update(task, completed=done)


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


if __name__ == "__main__":
    main()
