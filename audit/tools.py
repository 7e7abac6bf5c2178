"""The auditing tools, run without a network and without writing outside .venv."""

import json
import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

HERE = Path(__file__).parent
ROOT = HERE.parent
INSTALLED = ROOT / ".venv" / "audit"
MISTAKEN = {
    # SAM leaves DeploymentPreference out unless the deployment is gradual; then its role is there
    # by the same condition, and its alarms by the rule GradualDeploymentNeedsAlarms.
    "W1001": "/DeploymentPreference/",
    # SAM takes it among Globals (samtranslator/plugins/globals), which cfn-lint 1.58 does not know.
    "E3724": "'AutoPublishAliasAllProperties'",
}
"""Findings of cfn-lint that are wrong: a rule, and what its message has in that case."""
_NO_VALUE = {"Ref": "AWS::NoValue"}


class AuditError(Exception):
    """A tool cannot run; the message is what it says."""


@dataclass(frozen=True)
class Findings:
    """The findings of a tool, a line each, and its summary of the things checked."""

    lines: list[str]
    seen: str
    resources: frozenset[str] = frozenset()
    """The resources that checkov checked."""


def cfn_lint(template: Path) -> Findings:
    """Check a template with cfn-lint and the serverless rules; raise AuditError."""
    found = _json(
        ["cfn-lint", "--config-file", HERE / "cfn-lint.yaml", "--format", "json", "-t", template]
    )
    lines = [
        f"{place(template)}:{one['Location']['Start']['LineNumber']}:"
        f" {one['Rule']['Id']} {one['Message']}"
        for one in found
        if not _is_mistaken(one["Rule"]["Id"], one["Message"])
    ]
    return Findings(lines, f"{place(template)}: {len(found) - len(lines)} mistaken")


def _is_mistaken(rule: str, message: str) -> bool:
    return rule in MISTAKEN and MISTAKEN[rule] in message


def checkov(template: Path) -> Findings:
    """Check a template with checkov; raise AuditError, also when it has checked nothing.

    checkov takes conditions as their parameters' defaults have them, and passes over what is in an
    `!If`. So it is given the template twice, with all conditions met, and with none.
    """
    parsed = yaml_parse(template.read_text())
    failed, resources = set(), set()
    passed = skipped = 0
    for met in (True, False):
        path = _folder() / f"{template.stem}-{met}.json".lower()
        path.write_text(json.dumps(resolved(parsed, met=met)))
        config = HERE / "checkov.yaml"
        found = _json(["checkov", "--config-file", config, "--output", "json", "--file", path])
        if "results" not in found:  # checkov's answer when nothing was checked
            raise AuditError(f"checkov checked nothing in {place(template)}")
        results = found["results"]
        for one in results["failed_checks"]:
            failed.add(f"{place(template)}: {one['check_id']} {one['check_name']}: {_name(one)}")
        resources |= {_name(one) for one in results["passed_checks"] + results["failed_checks"]}
        passed += found["summary"]["passed"]
        skipped += found["summary"]["skipped"]
    seen = f"{place(template)}: {passed} checks passed, {skipped} skipped"
    return Findings(sorted(failed), seen, frozenset(resources))


def resolved(template: Any, *, met: bool) -> Any:  # noqa: ANN401 - any part of a template
    """Return a template without conditions, as it is with all of them met, or none."""
    match template:
        case {"Fn::If": [_, then, otherwise]}:
            return resolved(then if met else otherwise, met=met)
        case dict():
            values = {
                key: resolved(value, met=met)
                for key, value in template.items()
                if key != "Conditions" and not (key == "Condition" and isinstance(value, str))
            }
            return {key: value for key, value in values.items() if value != _NO_VALUE}
        case list():
            items = [resolved(item, met=met) for item in template]
            return [item for item in items if item != _NO_VALUE]
    return template


def _name(check: dict[str, Any]) -> str:
    """Return the name of the resource that checkov has checked."""
    return str(check["resource"]).rpartition(".")[2]


def bandit(*paths: Path) -> Findings:
    """Check Python code with bandit; raise AuditError, also when it could not parse a file."""
    config = HERE / "bandit.yaml"
    options = ["--quiet", "--format", "json", "--recursive"]
    found = _json(["bandit", "--configfile", config, *options, *paths])
    if found["errors"]:
        raise AuditError(f"bandit cannot read {found['errors'][0]}")
    lines = [
        f"{place(Path(one['filename']))}:{one['line_number']}: {one['test_id']} {one['issue_text']}"
        for one in found["results"]
    ]
    totals = found["metrics"]["_totals"]
    seen = f"{totals['loc']} lines, {totals['skipped_tests']} findings with a reason"
    return Findings(lines, seen)


def zizmor(folder: Path) -> Findings:
    """Check the workflows and the dependabot.yml of a folder with zizmor; raise AuditError."""
    options = ["--offline", "--no-config", "--strict-collection", "--collect", "all"]
    found = _json(["zizmor", *options, "--persona", "auditor", "--format", "json", folder])
    lines = [f"{_zizmor_place(one)}: {one['ident']} {one['desc']}" for one in found]
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.yml"))
    return Findings(lines, f"{place(folder)}: {', '.join(files)}")


def place(path: Path) -> str:
    """Return a path as it is in this checkout, or as it is outside of it."""
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def _zizmor_place(finding: dict[str, Any]) -> str:
    location = finding["locations"][0]
    path = location["symbolic"]["key"]["Local"]["verbatim_path"]
    line = location["concrete"]["location"]["start_point"]["row"] + 1
    return f"{place(Path(path))}:{line}"


def _folder() -> Path:
    """Return the folder for what tools write."""
    folder = INSTALLED / "tmp"
    folder.mkdir(exist_ok=True)
    return folder


def _json(command: Iterable[str | Path]) -> Any:  # noqa: ANN401 - what a tool prints
    """Run a tool and return the JSON that it prints, whatever its exit code."""
    name, *arguments = command
    folder = _folder()
    done = subprocess.run(  # noqa: S603 - a tool of ours # nosec B603
        [INSTALLED / "bin" / name, *arguments],
        cwd=ROOT,
        env={
            "PATH": f"{INSTALLED / 'bin'}{os.pathsep}{os.defpath}",
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "AWS_DEFAULT_REGION": "us-east-1",
            "CKV_SKIP_PACKAGE_UPDATE_CHECK": "true",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        return json.loads(done.stdout)
    except ValueError as error:
        said = " ".join((done.stderr or done.stdout).split())
        raise AuditError(f"{name} ended with exit code {done.returncode}: {said[-500:]}") from error
