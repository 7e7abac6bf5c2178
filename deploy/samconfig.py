"""The settings of samconfig.toml for an environment, such as default or prod."""

import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.parameters import read
from deploy.problems import DeployError


@dataclass(frozen=True)
class Environment:
    """An environment of samconfig.toml; region and profile are AWS's own when None."""

    name: str
    stack: str
    region: str | None
    profile: str | None
    parameters: Mapping[str, str]


def load(path: Path, name: str) -> Environment:
    """Return an environment; raise DeployError when there is no such one, or no stack in it."""
    try:
        document = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise DeployError(f"{path.name} is no TOML: {error}") from error
    if name not in document:
        there = ", ".join(key for key in document if key != "version")
        raise DeployError(f"{path.name} has no environment {name}; there are: {there}.")
    sections = document[name]
    options: dict[str, Any] = {}
    for section in ("global", "deploy"):
        options |= sections.get(section, {}).get("parameters", {})
    if "stack_name" not in options:
        raise DeployError(f"{path.name} has no stack_name for the environment {name}.")
    return Environment(
        name,
        options["stack_name"],
        options.get("region"),
        options.get("profile"),
        _parameters(options.get("parameter_overrides", [])),
    )


def _parameters(written: str | list[str] | dict[str, Any]) -> dict[str, str]:
    """Return parameter_overrides in each of the forms that sam takes, but for files."""
    if isinstance(written, dict):
        return {name: str(value) for name, value in written.items()}
    texts = [written] if isinstance(written, str) else written
    return read(pair for text in texts for pair in shlex.split(text))
