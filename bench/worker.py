"""`python -m bench.worker`: memory and time of generations that one worker runs at once.

The built worker runs in a process of its own, with TLS to AWS, the CPU of its memory, and a model
that answers after some seconds. The second invocation is timed: the first one opens connections and
learns the pace. Needs root for the share of a processor.
"""

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, override

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from bench.cases import CASES, Case
from bench.quota import cpu_of
from bench.results import write_results
from bench.runs import LAYER, Bench, Terms, check_build, stub
from bench.stub import SLOW

AT_ONCE = (1, 10, 25, 50)


@dataclass(frozen=True)
class Crowd(Case):
    """A case of the worker with so many messages at once."""

    messages: int = 1

    @override
    def event(self, key: str, generation_id: str) -> dict[str, Any]:
        """Return the sample event with its message several times."""
        event = super().event(key, generation_id)
        (record,) = event["Records"]
        records = [{**record, "messageId": f"message-{at}"} for at in range(self.messages)]
        return {"Records": records}


def main() -> None:
    """Measure all sizes, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.worker", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="the model's wait (5)")
    parser.add_argument("--megabytes", type=int, nargs="*", default=[256, 512])
    given = parser.parse_args()
    check_build()
    rows: dict[str, dict[str, float]] = {"peak MB": {}, "seconds": {}, "GB-s a generation": {}}
    cases = {case.name: case for case in CASES}
    table = Table("MB", "at once", "peak MB", "seconds", "GB-s a generation", box=SIMPLE)
    with stub() as addresses, tempfile.TemporaryDirectory() as folder:
        bench = Bench(addresses)
        bench.trace(cases["submit_mail_generation"])
        bundle = Path(folder) / "roots.pem"
        amazon = (LAYER / "afterword/runtime/amazon_roots.pem").read_text("utf-8")
        bundle.write_text(amazon + addresses.root.read_text("utf-8"), "utf-8")
        variables = {
            "AFTERWORD_MODEL_ID": f"{SLOW}{given.seconds}",
            "AFTERWORD_MODEL_URL": f"{addresses.plain}/v1",
        }
        for megabytes in given.megabytes:
            for at_once in AT_ONCE:
                its = cases["generate"]
                case = Crowd(its.name, its.clients, its.wants, its.generation, messages=at_once)
                with cpu_of(megabytes) as procs:
                    terms = Terms(procs=procs, ca_bundle=bundle, again=True, variables=variables)
                    runs = [bench.built(case, terms) for _ in range(given.rounds)]
                if any(run["answer"] != {"batchItemFailures": []} for run in runs):
                    sys.exit(f"The worker did not do its work: {runs[0]['answer']}")
                seconds = median(run["waited"] for run in runs) / 1000
                peak, spent = max(run["peak"] for run in runs), seconds * megabytes / 1024 / at_once
                table.add_row(
                    str(megabytes), str(at_once), f"{peak:.0f}", f"{seconds:.2f}", f"{spent:.3f}"
                )
                if megabytes == given.megabytes[0]:
                    rows["peak MB"][str(at_once)] = peak
                    rows["seconds"][str(at_once)] = seconds
                    rows["GB-s a generation"][str(at_once)] = spent
    Console(width=100).print(table)
    write_results("worker", rows)


if __name__ == "__main__":
    main()
