"""`afterword model`."""

import os
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from afterword.errors import AfterwordError
from afterword.models.openai import OpenAIModel
from cli import stack
from cli.arguments import AsJson
from cli.model_checks import TEXT, Finding, Verdict, check_model, describe
from cli.terminal import plain_log, result, result_json, say

if TYPE_CHECKING:
    from afterword.models import Model

app = typer.Typer(no_args_is_help=True, help="The model that the worker asks.")

API_KEY = "AFTERWORD_MODEL_API_KEY"
_SECONDS = 60.0


class ModelSettingsError(AfterwordError):
    """The settings name no model that can be asked; the message says what to do."""


@app.callback()
def model() -> None:
    """Keep `check` a command of its own, though there is no other."""


@app.command()
def check(  # noqa: PLR0913 - a command's options are its parameters
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Option(
            "--model",
            envvar="AFTERWORD_MODEL",
            metavar="NAME",
            help="As its provider calls it. Default: the stack's.",
        ),
    ] = None,
    provider: Annotated[
        str | None,
        typer.Option(
            envvar="AFTERWORD_MODEL_PROVIDER",
            metavar="bedrock|openai",
            help="Without a stack: Amazon Bedrock, by your credentials, or the endpoint of --url.",
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            envvar="AFTERWORD_MODEL_URL",
            metavar="URL",
            help=f"Without a stack: an OpenAI-compatible endpoint, as …/v1. Its key: {API_KEY}.",
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=1, max=290, help="For each question.")
    ] = _SECONDS,
    *,
    as_json: AsJson = False,
) -> None:
    """Ask a model for a text, an array, JSON, a template and one token, and say what it can.

    The questions are asked and read as by the worker, from this machine. Exit code 1 without a
    text. The model is the stack's, unless options or the environment name another.
    """
    asked, model_name, where = _choose(context, name, provider, url)
    if not as_json:
        say(f"{model_name} {where}")
    findings = []
    with plain_log():
        for finding in check_model(asked, model_name, timeout):
            findings.append(finding)
            if not as_json:
                result(describe(finding))
    if as_json:
        facts = {"model": model_name, "where": where, "checks": list(map(_facts, findings))}
        result_json({**facts, "adaptations": list(asked.describe_adaptations(model_name))})
    if any(each.check == TEXT.name and each.verdict is Verdict.NO for each in findings):
        raise typer.Exit(1)


def _choose(
    context: typer.Context, name: str | None, provider: str | None, url: str | None
) -> "tuple[Model, str, str]":
    """Return the model, its name, and where it is."""
    if provider == "bedrock":
        if not name:
            raise typer.BadParameter("name the model or inference profile", param_hint="--model")
        return stack.bedrock(context), name, "on Amazon Bedrock, by your credentials"
    if url and provider in {None, "openai"}:
        if not name:
            raise typer.BadParameter("name the endpoint's model", param_hint="--model")
        key = os.environ.get(API_KEY) or None
        return OpenAIModel(url, lambda: key, 1), name, f"at {_without_password(url)}"
    if provider == "openai":
        raise typer.BadParameter("give the endpoint's base URL, as …/v1", param_hint="--url")
    if provider not in {None, "", "demo"}:  # `make dev` knows a third
        raise typer.BadParameter(f"{provider!r} is none", param_hint="--provider")
    services = stack.of(context)
    settings = services.settings
    chosen = name or settings.default_model
    if chosen is None:
        raise ModelSettingsError("The stack names no model: name one with --model.")
    if settings.model_provider == "bedrock":
        return services.model, chosen, "on Amazon Bedrock, as the stack's worker asks it"
    if not settings.environ.get("AFTERWORD_MODEL_URL"):
        raise ModelSettingsError(
            "The stack's parameter ModelBaseUrl is empty: deploy it with the endpoint's base URL."
        )
    return services.model, chosen, f"at {_without_password(settings.model_url)}"


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _facts(finding: Finding) -> dict[str, object]:
    answer = finding.answer
    return {
        "check": finding.check,
        "verdict": finding.verdict,
        "seconds": round(finding.seconds, 3),
        "answer": None if answer is None else answer.text,
        "stop_reason": None if answer is None else answer.stop_reason,
        "tokens_in": None if answer is None else answer.tokens_in,
        "tokens_out": None if answer is None else answer.tokens_out,
        "tokens_estimated": None if answer is None else answer.estimated,
        "reason": finding.reason,
        "message": finding.message,
        "adaptations": list(finding.learned),
    }
