"""Runs the built functions, and the same AWS calls bare, in fresh processes."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from bench.cases import GENERATION, ROOT, Case, environment, populate
from bench.process import Calls, Measurement, Plan

BUILD = ROOT / ".aws-sam" / "build"
LAYER = BUILD / "CoreLayer" / "python"
VIEWER = BUILD / "ViewerLayer" / "python"


class Bench:
    """Runs against one stub. A case is traced before it is run, and the submission first."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._key, self._owners_key = populate(url)
        self._generation_id = GENERATION
        self._calls: dict[Case, tuple[Calls, Calls]] = {}

    def trace(self, case: Case) -> tuple[Calls, Calls]:
        """Return the calls of a function's first request and of one after it.

        Both sides run once for this, and so their files are in memory when it comes to time.
        """
        self._seen()
        answer = self.built(case)["answer"]
        first = self._seen()
        self.built(case, batches=1, requests=1)
        later = self._seen()[len(first) :]
        if case.wants not in json.dumps([answer, later]):
            sys.exit(f"{case.name} did not do its work, so its time means nothing: {answer}")
        self._calls[case] = (first, later)
        if case.name == "submit_mail_generation":
            self._generation_id = json.loads(answer["body"])["process_cuid"]
        self.bare(case)
        return self._calls[case]

    def built(self, case: Case, batches: int = 0, requests: int = 0) -> Measurement:
        """Run the built function with the layer, and nothing else to import from."""
        paths = [str(path) for path in (BUILD / case.build_name, LAYER, VIEWER)]
        return self._run(case, paths, batches, requests)

    def bare(self, case: Case, batches: int = 0, requests: int = 0) -> Measurement:
        """Run the function's traced calls in bare boto3, as it is installed here."""
        return self._run(case, [_installed("boto3")], batches, requests, self._calls[case])

    def _run(
        self,
        case: Case,
        paths: list[str],
        batches: int,
        requests: int,
        calls: tuple[Calls, Calls] | None = None,
    ) -> Measurement:
        plan: Plan = {
            "runtime": _installed("awslambdaric"),
            "paths": paths,
            "event": case.event(self._owners_key if case.owner else self._key, self._generation_id),
            "clients": list(case.clients),
            "calls": calls,
            "url": self._url,
            "batches": batches,
            "requests": requests,
        }
        # -B only for the build: bytecode that it does not ship is not there in Lambda either.
        flags = ["-I", "-S", *(["-B"] if calls is None else [])]
        done = subprocess.run(  # noqa: S603 - our own script # nosec B603
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

    def _seen(self) -> Calls:
        with urlopen(self._url) as response:  # noqa: S310 - the stub # nosec B310
            return [(target, body) for target, body in json.load(response)]


def _installed(package: str) -> str:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        sys.exit(f"{package} is not installed here: uv sync --frozen")
    return str(Path(spec.origin).parent.parent)


@contextmanager
def stub() -> Iterator[str]:
    """Run the stub in a process of its own; give its URL."""
    with subprocess.Popen(  # our own script # nosec B603
        [sys.executable, "-m", "bench.stub"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            if process.stdout is None or not (port := process.stdout.readline().strip()):
                sys.exit("The stub did not start.")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
