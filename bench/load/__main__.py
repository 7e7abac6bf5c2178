"""`python -m bench.load`: records the paths, simulates the load, and writes docs/scale.md."""

import argparse
import platform
import secrets
import time

from rich.console import Console

from bench.load import documented, page, runs
from bench.load.recording import record
from bench.load.simulation import Load

SEED = 14


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
    rows, steps = runs.run(recording, seed, arguments.seconds, console)
    parameters = (f"`{name}={value}`" for name, value in runs.RAISED.items())
    facts = {
        "made by": "`make load`",
        "seed": f"{seed}",
        "machine": f"CPython {platform.python_version()}, {platform.machine()}",
        "seconds of each run": f"{arguments.seconds:,}, after a rise of {Load(1, 1).ramp:,}",
        "parameters of the runs": ", ".join(parameters),
        "quotas and prices as of": documented.AS_OF,
        "new instance's imports": ", ".join(
            f"{name} {cpu:,.0f} ms" for name, cpu in recording.imports.items()
        ),
    }
    page.write_page(rows, steps, recording, facts)
    console.print(f"wrote {page.PAGE} and {page.PICTURE} in {time.monotonic() - begun:,.0f} s")


if __name__ == "__main__":
    main()
