"""The values of the template's parameters: whose word counts, and what is asked the first time."""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from deploy.problems import DeployError

ARCHITECTURE = "Architecture"
_PAIR = re.compile(r"([A-Za-z0-9]+)=(.*)", re.DOTALL)
_MODEL_HINT = (
    "The model that flows ask, if they name none. Your account must have access to it in this"
    " region\n(console: Amazon Bedrock, Model catalog); outside of the United States most have a"
    " prefix, as in\neu.amazon.nova-lite-v1:0."
)

type Values = Mapping[str, str]
type Ask = Callable[[str, str, str], str]
"""Asks for a parameter's value: the hint, its name, and what it is if nothing is typed."""


@dataclass(frozen=True)
class Template:
    """The parameters of a template, by name."""

    definitions: Mapping[str, Mapping[str, Any]]

    def defaults(self) -> dict[str, str]:
        """Return the values that hold when nobody says anything."""
        return {name: str(one["Default"]) for name, one in self.definitions.items()}

    def problem(self, name: str, value: str) -> str | None:
        """Return CloudFormation's objection to a value, None if there is none."""
        definition = self.definitions.get(name)
        if definition is None:
            return f"there is no parameter {name}: template.yaml lists them"
        allowed = [str(one) for one in definition.get("AllowedValues", [])]
        if allowed and value not in allowed:
            return f"{name} is one of {', '.join(allowed)}, not {value!r}"
        if definition["Type"] == "Number":
            least, most = definition.get("MinValue", 0), definition.get("MaxValue")
            if not value.isdecimal() or int(value) < least or (most and int(value) > most):
                return f"{name} is a whole number from {least} to {most}, not {value!r}"
        pattern = definition.get("AllowedPattern")
        if pattern is not None and not re.fullmatch(pattern, value):
            return f"{name} is {definition['ConstraintDescription']}, not {value!r}"
        if len(value) < definition.get("MinLength", 0):
            return f"{name} cannot be empty"
        return None


def read(pairs: Iterable[str]) -> dict[str, str]:
    """Return the values of texts such as `RetentionDays=90`; raise DeployError for another text."""
    values = {}
    for pair in pairs:
        found = _PAIR.fullmatch(pair.strip())
        if found is None:
            raise DeployError(f"Write parameters as Name=value, not {pair!r}.")
        values[found[1]] = found[2]
    return values


def merge(template: Template, given: Values, saved: Values, deployed: Values) -> dict[str, str]:
    """Return the value of every parameter; raise DeployError for one that cannot be.

    Values of the command line and of samconfig.toml replace those deployed now, which replace the
    template's defaults.
    """
    for name, value in given.items():
        if saved.get(name, value) != value:
            raise DeployError(
                f"samconfig.toml says {name}={saved[name]}, so the next deployment would undo"
                f" {name}={value}: change it there."
            )
    known = {name: value for name, value in deployed.items() if name in template.definitions}
    values = {**template.defaults(), **known, **saved, **given}
    for name, value in values.items():
        if (problem := template.problem(name, value)) is not None:
            raise DeployError(f"{problem}.")
    return values


def ask(template: Template, values: Values, decided: Iterable[str], answer: Ask) -> dict[str, str]:
    """Return the values as the owner wants them, asked for those that are not decided yet."""
    chosen = dict(values)

    def put(name: str, hint: str = "") -> None:
        if name in decided:
            return
        definition = template.definitions[name]
        hint = hint or f"{definition['Description']}."
        if allowed := definition.get("AllowedValues"):
            hint += f" ({', '.join(map(str, allowed))})"
        while True:
            chosen[name] = answer(hint, name, chosen[name])
            problem = template.problem(name, chosen[name])
            if name == "ModelBaseUrl" and not chosen[name]:
                problem = "an OpenAI-compatible endpoint needs its URL"
            if problem is None:
                return
            chosen[name] = values[name]
            hint = f"{problem[0].upper()}{problem[1:]}."

    put(ARCHITECTURE, "Processor of the functions: arm64 costs a fifth less.")
    put("ModelProvider")
    if chosen["ModelProvider"] == "openai":
        put("ModelBaseUrl")
        put("ModelId", "The model that flows ask, if they name none, as the endpoint calls it.")
        put("ModelApiKeySecretArn")
    else:
        put("ModelId", _MODEL_HINT)
    put("RetentionDays")
    put("AlarmEmail")
    return chosen


def overrides(values: Values) -> list[str]:
    """Return the values as sam takes them behind --parameter-overrides."""
    quoted = {name: value.replace('"', r"\"") for name, value in values.items()}
    return [f'{name}="{value}"' for name, value in sorted(quoted.items())]


def digest(values: Values) -> str:
    """Return a short text that changes with every change of a value."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]
