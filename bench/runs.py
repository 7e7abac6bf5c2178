"""Runs the built functions, and the same AWS calls bare, in fresh processes."""

import filecmp
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import urlopen

from bench.cases import CASES, GENERATION, ROOT, Case, environment, populate
from bench.certificates import HOST, write_certificates
from bench.process import Calls, Measurement, Plan, Until
from tests.harness.deployment import parsed_template

BUILD = ROOT / ".aws-sam" / "build"
LAYER = BUILD / "CoreLayer" / "python"
COUNTER = (
    "valgrind",
    "--tool=cachegrind",
    "--cache-sim=no",
    "--branch-sim=no",
    "--cachegrind-out-file=/dev/null",
)
"""Counts the instructions of a process, which repeat where CPU time does not."""


class Addresses(NamedTuple):
    """The stub's URLs, without and with TLS, and the root of its certificate."""

    plain: str
    secure: str
    root: Path


@dataclass(frozen=True, kw_only=True)
class Terms:
    """The terms of a run.

    - `batches` of so many `requests` each follow the first answer.
    - `procs` is the file of the control group whose CPU is left after init; None for all CPU.
    - `ca_bundle` has the trusted roots of calls by TLS; None for calls without TLS.
    - `again` times the second answer, not the first one.
    - `frozen` times the answer after a freeze that closed all connections, not the first one.
    - `variables` are the function's beside those of all runs.
    """

    batches: int = 0
    requests: int = 0
    procs: Path | None = None
    ca_bundle: Path | None = None
    again: bool = False
    frozen: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)


ONCE = Terms()
"""The first answer alone, with all CPU and without TLS."""


class Bench:
    """Runs against one stub. A case is traced before it is run, and the submission first."""

    def __init__(self, stub: Addresses) -> None:
        self._stub = stub
        self._key, self._owners_key = populate(stub.plain)
        self._generation_id = GENERATION
        self._calls: dict[Case, tuple[Calls, Calls]] = {}
        self._runtimes: dict[bool, int] = {}

    def trace(self, case: Case) -> tuple[Calls, Calls]:
        """Return the calls of a function's first request and of one after it.

        Both sides run once for this, and so their files are in memory when it comes to time.
        """
        self._seen()
        answer = self.built(case)["answer"]
        first = self._seen()
        self.built(case, Terms(batches=1, requests=1))
        later = self._seen()[len(first) :]
        if case.wants not in json.dumps([answer, later]):
            sys.exit(f"{case.name} did not do its work, so its time means nothing: {answer}")
        self._calls[case] = (first, later)
        if case.name == "submit_mail_generation":
            self._generation_id = json.loads(answer["body"])["process_cuid"]
        self.bare(case)
        return self._calls[case]

    def built(self, case: Case, terms: Terms = ONCE) -> Measurement:
        """Run the built function with the layer, and nothing else to import from."""
        return self._run(self._plan(case, terms, _built_paths(case)), terms)

    def bare(
        self, case: Case, terms: Terms = ONCE, operations: Collection[str] = ()
    ) -> Measurement:
        """Run the function's traced calls in bare boto3, as it is installed here.

        With `operations`, those of the calls alone.
        """
        first, later = (
            [
                (target, body)
                for target, body in calls
                if not operations or target.partition(".")[2] in operations
            ]
            for calls in self._calls[case]
        )
        plan = self._plan(case, terms, [_installed("boto3")], (first, later))
        return self._run(plan, terms)

    def count_built(self, case: Case) -> int:
        """Return the instructions of a function's init, without those of Lambda's runtime."""
        plan = self._plan(case, ONCE, _built_paths(case))
        return self._count(plan, "init") - self._count_runtime(plan)

    def count_bare(self, clients: Sequence[str]) -> int:
        """Return the instructions of `import boto3` and these clients, without the runtime's."""
        case = Case("bare", tuple(clients), "")
        plan = self._plan(case, ONCE, [_installed("boto3")], ([], []), {})
        return self._count(plan, "init") - self._count_runtime(plan)

    def _plan(
        self,
        case: Case,
        terms: Terms,
        paths: list[str],
        calls: tuple[Calls, Calls] | None = None,
        event: dict[str, object] | None = None,
    ) -> Plan:
        if event is None:
            key = self._owners_key if case.owner else self._key
            event = case.event(key, self._generation_id)
        return {
            "runtime": _installed("awslambdaric"),
            "paths": paths,
            "event": event,
            "clients": list(case.clients),
            "calls": calls,
            "url": self._stub.plain,
            "batches": terms.batches,
            "requests": terms.requests,
            "procs": None if terms.procs is None else str(terms.procs),
            "again": terms.again,
            "frozen": terms.frozen,
            "until": "end",
        }

    def _count_runtime(self, plan: Plan) -> int:
        """Return the instructions of Lambda's own runtime, which are counted once for each side."""
        is_bare = plan["calls"] is not None
        if is_bare not in self._runtimes:
            self._runtimes[is_bare] = self._count(plan, "runtime")
        return self._runtimes[is_bare]

    def _count(self, plan: Plan, until: Until) -> int:
        if shutil.which(COUNTER[0]) is None:
            sys.exit("Instructions are counted by valgrind: apt-get install valgrind")
        said = self._start({**plan, "until": until}, ONCE, COUNTER)
        counted = re.search(r"I +refs: +([0-9,]+)", said)
        if counted is None:
            sys.exit(f"valgrind did not count:\n{said}")
        return int(counted[1].replace(",", ""))

    def _run(self, plan: Plan, terms: Terms) -> Measurement:
        said = self._start(plan, terms)
        measurement: Measurement = json.loads(said.splitlines()[-1])
        return measurement

    def _start(self, plan: Plan, terms: Terms, under: Sequence[str] = ()) -> str:
        """Run a plan in a process of its own; return the text that it wrote on stderr."""
        # -B only for the build: bytecode that it does not ship is not there in Lambda either.
        flags = ["-I", "-S", *(["-B"] if plan["calls"] is None else [])]
        url = self._stub.plain if terms.ca_bundle is None else self._stub.secure
        settings = {**environment(url), **terms.variables}
        if terms.ca_bundle is not None:
            settings["AWS_CA_BUNDLE"] = str(terms.ca_bundle)
        done = subprocess.run(  # noqa: S603 - our own script # nosec B603
            [*under, sys.executable, *flags, str(ROOT / "bench/process.py"), json.dumps(plan)],
            env=settings,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(f"{plan['paths'][0]} failed:\n{done.stderr}")
        return done.stderr

    def _seen(self) -> Calls:
        with urlopen(self._stub.plain) as response:  # noqa: S310 - the stub # nosec B310
            return [(target, body) for target, body in json.load(response)]


def check_build() -> None:
    """Exit unless the build is of the sources as they are: other figures would mislead."""
    core = ROOT / "layers" / "core"
    built = {path: LAYER / path.relative_to(core) for path in (core / "afterword").rglob("*.py")}
    for case in CASES:
        built[ROOT / "functions" / case.name / "app.py"] = BUILD / case.build_name / "app.py"
    for source, copy in built.items():
        if not (copy.exists() and filecmp.cmp(source, copy, shallow=False)):
            sys.exit(f"The build has no {source.relative_to(ROOT)} as it is now: make build")


def _built_paths(case: Case) -> list[str]:
    """Return the folders of a function's code, of the core layer, and of its further layers."""
    properties = _functions()[case.build_name]["Properties"]
    layers = [BUILD / layer["Ref"] / "python" for layer in properties.get("Layers", ())]
    return [str(path) for path in (BUILD / case.build_name, LAYER, *layers)]


@cache
def _functions() -> Mapping[str, Any]:
    resources: Mapping[str, Any] = parsed_template()["Resources"]
    return resources


def _installed(package: str) -> str:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        sys.exit(f"{package} is not installed here: uv sync --frozen")
    return str(Path(spec.origin).parent.parent)


@contextmanager
def stub() -> Iterator[Addresses]:
    """Run the stub in a process of its own; give its addresses."""
    with tempfile.TemporaryDirectory() as folder:
        certificates = write_certificates(Path(folder))
        with subprocess.Popen(  # noqa: S603 - our own script # nosec B603
            [sys.executable, "-m", "bench.stub", str(certificates.server)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                if process.stdout is None or not (ports := process.stdout.readline().split()):
                    sys.exit("The stub did not start.")
                plain, secure = ports
                yield Addresses(
                    f"http://{HOST}:{plain}", f"https://{HOST}:{secure}", certificates.root
                )
            finally:
                process.terminate()
