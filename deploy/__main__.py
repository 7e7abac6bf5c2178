"""Deploys the stack: names missing parts before the build, and prints the URL at the end."""

import argparse
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import boto3
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from deploy import account, parameters, samconfig, stacks
from deploy.parameters import ARCHITECTURE, Template
from deploy.problems import DeployError
from local.build import SAM, check_environments
from local.build import TEMPLATE as BUILT
from local.places import LOCAL, ROOT
from local.terminal import LocalError

CONFIG = ROOT / "samconfig.toml"
READY = BUILT.with_name("deployed.json")
"""The built template as it is deployed, beside the packages that it names."""
DECLINED, INTERRUPTED = 1, 130


@dataclass(frozen=True)
class Plan:
    """A stack as it is to be: where, and with which values of the template's parameters."""

    environment: samconfig.Environment
    where: account.Account
    values: Mapping[str, str]
    before: stacks.Deployed | None
    sure: bool
    """The defaults stand for all answers."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Deploy; return 0 when the stack is there as asked for, with a sentence about it if not."""
    parser = argparse.ArgumentParser(prog="make deploy", description=__doc__)
    parser.add_argument("--env", default="default", help="environment of samconfig.toml")
    parser.add_argument("--architecture", default="", help="x86_64 or arm64")
    parser.add_argument("--parameters", default="", help="Name=value, several with spaces between")
    parser.add_argument("--yes", action="store_true", help="ask nothing, as in a pipeline")
    given = parser.parse_args(arguments)
    try:
        return deploy(given.env, given.architecture, given.parameters, sure=given.yes)
    except (DeployError, LocalError) as error:
        print(f"afterword: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "\nInterrupted. What CloudFormation has begun, if anything, goes on there.",
            file=sys.stderr,
        )
        return INTERRUPTED


def deploy(name: str, architecture: str, given: str, *, sure: bool) -> int:
    """Deploy an environment; return the exit code. Raises DeployError and LocalError."""
    check_environments(SAM)
    environment = samconfig.load(CONFIG, name)
    template = Template(yaml_parse((ROOT / "template.yaml").read_text())["Parameters"])
    wanted = parameters.read(shlex.split(given))
    if architecture:
        wanted[ARCHITECTURE] = architecture
    session = account.open_session(environment.profile, environment.region)
    print("Checking the AWS credentials …", flush=True)
    where = account.check(session)
    before = stacks.find(session, environment.stack)
    _refuse(environment, where, before)
    deployed = before.parameters if before else {}
    values = parameters.merge(template, wanted, environment.parameters, deployed)
    if before is None and not sure:
        print(
            "A first deployment. Enter takes what is in brackets; all of it can be changed later."
        )
        decided = {**wanted, **environment.parameters}
        values = parameters.ask(template, values, decided, _ask)
    plan = Plan(environment, where, values, before, sure)
    _show(plan, template)
    if not sure and not _confirmed("Build and deploy this?"):
        print("Nothing was deployed.")
        return DECLINED
    _build(values[ARCHITECTURE])
    _deploy(plan)
    return _tell(plan, session)


def _refuse(
    environment: samconfig.Environment, where: account.Account, stack: stacks.Deployed | None
) -> None:
    """Raise DeployError when CloudFormation would not take a deployment."""
    if stack is None:
        return
    obstacle = stacks.obstacle(environment.stack, where.region, stack.status)
    if obstacle is not None:
        raise DeployError(obstacle)


def _show(plan: Plan, template: Template) -> None:
    """Print what is about to be done."""
    before = plan.before.parameters if plan.before else template.defaults()
    then = {**template.defaults(), **before}
    rows = {
        "account": plan.where.id,
        "as": plan.where.identity,
        "region": plan.where.region,
        "stack": f"{plan.environment.stack} ({'update' if plan.before else 'new'})",
        ARCHITECTURE: plan.values[ARCHITECTURE],
        "ModelProvider": plan.values["ModelProvider"],
        "ModelId": plan.values["ModelId"],
    }
    rows |= {name: value for name, value in plan.values.items() if then.get(name) != value}
    print()
    for name, value in rows.items():
        was = then.get(name)
        changed = plan.before is not None and was is not None and was != value
        print(f"  {name:20}  {value}" + (f"  (was {was or 'nothing'})" if changed else ""))
    print(flush=True)


def _ask(hint: str, name: str, default: str) -> str:
    """Return the typed text, the default for nothing; raise DeployError without a terminal."""
    print(f"\n{hint}")
    try:
        return input(f"  {name} [{default}]: ").strip() or default
    except EOFError as error:
        raise DeployError(
            "No answer: deploy in a terminal, or with YES=1, which takes the defaults."
        ) from error


def _confirmed(question: str) -> bool:
    try:
        return input(f"{question} [y/N]: ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _build(architecture: str) -> None:
    """Build for an architecture; raise DeployError when that fails."""
    command = [sys.executable, "-m", "local", "build"]
    if run(command, {**os.environ, "BUILD_ARCH": architecture}) != 0:
        raise DeployError("Nothing was deployed: the build has failed.")


def _deploy(plan: Plan) -> None:
    """Deploy what is built; raise DeployError when sam fails, with how to go on."""
    write_ready(BUILT, parameters.digest(plan.values))
    environment = plan.environment
    command: list[str | Path] = [SAM, "deploy", "--template-file", READY, "--config-file", CONFIG]
    command += ["--config-env", environment.name, "--region", plan.where.region]
    if environment.profile:
        command += ["--profile", environment.profile]
    if plan.sure:
        command += ["--no-confirm-changeset"]
    command += ["--parameter-overrides", *parameters.overrides(plan.values)]
    quiet = {"SAM_CLI_TELEMETRY": "0", "__SAM_CLI_APP_DIR": str(LOCAL / "sam")}
    code = run(command, {**os.environ, **quiet})
    if code != 0:
        session = account.open_session(environment.profile, plan.where.region)
        stack = stacks.find(session, environment.stack)
        obstacle = stack and stacks.obstacle(environment.stack, plan.where.region, stack.status)
        raise DeployError(f"sam deploy failed (exit code {code}). {obstacle or ''}".strip())


def write_ready(built: Path, digest: str) -> None:
    """Write READY: the built template, with the digest of the parameters in every function.

    SAM makes a version of a function when its part of the template changes; values of parameters
    are no part of it. Without the digest, the alias `live` would stay with the old values.
    """
    template = yaml_parse(built.read_text())
    variables = template["Globals"]["Function"]["Environment"]["Variables"]
    variables["AFTERWORD_PARAMETERS"] = digest
    READY.write_text(json.dumps(template))


def _tell(plan: Plan, session: boto3.Session) -> int:
    """Print where the API is and what comes next, when there is one; return the exit code."""
    name, region = plan.environment.stack, plan.where.region
    now = stacks.find(session, name)
    if now is None:
        print("Nothing was deployed.")
        return DECLINED
    if plan.before is not None and now.changed_at == plan.before.changed_at:
        print(f"\nStack {name} was not changed.")
    else:
        print(f"\nStack {name} is deployed in {region}.")
    url = now.outputs["ApiUrl"]
    options = ["--stack", name, "--region", region]
    if plan.environment.profile:
        options += ["--profile", plan.environment.profile]
    afterword = shlex.join(["uv", "run", "afterword", *options])
    print(f"""
  {url}

Whether it answers:

  curl {url}/health

Whether its model does what flows ask for:

  {afterword} model check

A tenant, a key for it, which is shown once, and a flow (docs/command-line.md):

  {afterword} tenant create acme --name "Acme Ltd"
  {afterword} key create acme
  {afterword} flow put acme mail-reply.yaml
""")
    if plan.before is None and plan.values["AlarmEmail"]:
        print(
            f"AWS has sent a mail to {plan.values['AlarmEmail']}: alarms come once it is confirmed."
        )
    return 0


def run(command: Sequence[str | Path], environment: Mapping[str, str]) -> int:
    """Run a command in this terminal; return its exit code."""
    return subprocess.run(command, env=environment, cwd=ROOT, check=False).returncode  # noqa: S603 - our own commands # nosec B603


if __name__ == "__main__":
    sys.exit(main())
