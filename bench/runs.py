"""Runs the built functions, and the same AWS calls bare, in fresh processes."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from bench.cases import Case, environment, populate
from bench.process import Calls, Measurement, Plan

ROOT = Path(__file__).parent.parent
BUILD = ROOT / ".aws-sam" / "build"
LAYER = BUILD / "CoreLayer" / "python"


class Bench:
    """Runs functions, and their AWS calls bare, in fresh processes against one stub."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._world = populate(url)
        self._first: dict[str, Calls] = {}
        self._later: dict[str, Calls] = {}

    def trace(self, case: Case) -> tuple[Calls, Calls]:
        """Return the calls of a function's first request and of one after it.

        Both sides run once for this, and so their files are in memory when it comes to time.
        """
        self._requests()
        answer = self.built(case)["answer"]
        self._first[case.name] = self._requests()
        self.built(case, batches=1, requests=1)
        self._later[case.name] = self._requests()[len(self._first[case.name]) :]
        _check(case, answer)
        if case.name == "submit_mail_generation":
            self._world.generation_id = json.loads(answer["body"])["process_cuid"]
        self.bare(case)
        return self._first[case.name], self._later[case.name]

    def built(self, case: Case, batches: int = 0, requests: int = 0) -> Measurement:
        """Run the built function with the layer, and nothing else to import from."""
        paths = [str(BUILD / case.built), str(LAYER)]
        return self._run(case, paths, batches, requests, calls=None)

    def bare(self, case: Case, batches: int = 0, requests: int = 0) -> Measurement:
        """Run the function's traced calls in bare boto3, as installed here and nothing slimmed."""
        calls = (self._first[case.name], self._later[case.name])
        return self._run(case, [_installed("boto3")], batches, requests, calls=calls)

    def _run(
        self,
        case: Case,
        paths: list[str],
        batches: int,
        requests: int,
        *,
        calls: tuple[Calls, Calls] | None,
    ) -> Measurement:
        plan: Plan = {
            "runtime": _installed("awslambdaric"),
            "paths": paths,
            "event": case.event(self._world),
            "clients": list(case.clients),
            "calls": calls,
            "model_url": f"{self._url}/v1",
            "batches": batches,
            "requests": requests,
        }
        # -B only for the build: bytecode that it does not ship is not there in Lambda either.
        flags = ["-I", "-S", *(["-B"] if calls is None else [])]
        done = subprocess.run(  # noqa: S603 - our own script
            [sys.executable, *flags, str(ROOT / "bench" / "process.py"), json.dumps(plan)],
            env=environment(self._url),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(f"{case.name} failed:\n{done.stderr}")
        measurement: Measurement = json.loads(done.stderr.splitlines()[-1])
        return measurement

    def _requests(self) -> Calls:
        with urlopen(f"{self._url}/requests") as response:  # noqa: S310 - the stub
            return [(target, body) for target, body in json.load(response)]


def _check(case: Case, answer: dict[str, object]) -> None:
    if answer.get("statusCode", 200) != 200 or answer.get("batchItemFailures"):  # noqa: PLR2004
        sys.exit(f"{case.name} did not do its work, so its time means nothing: {answer}")


def _installed(package: str) -> str:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        sys.exit(f"{package} is not installed here: uv sync --frozen")
    return str(Path(spec.origin).parent.parent)


@contextmanager
def stub() -> Iterator[str]:
    """Run the stub in a process of its own; give its URL."""
    with subprocess.Popen(
        [sys.executable, "-m", "bench.stub"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            if process.stdout is None or not (port := process.stdout.readline().strip()):
                sys.exit("The stub did not start.")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
