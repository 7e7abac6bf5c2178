"""`afterword model`."""

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit, urlunsplit

import typer

from afterword.errors import AfterwordError
from afterword.models.openai import OpenAIModel
from afterword.models.provider import read_api_key
from afterword.runtime.clients import POOL_SIZE
from cli import model_checks, stack
from cli.arguments import AsJson
from cli.terminal import plain_log, result, result_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from enum import Enum

    from afterword.models import Model
    from afterword.services import Services
    from cli.model_checks import Outcome

_URL = re.compile(r"https?://\S+")
_PROVIDERS = ("bedrock", "openai")
_DEMO = "demo"
"""The provider of `make dev` that only the embedded stack has."""
_SECONDS = 60

app = typer.Typer(no_args_is_help=True, help="Check a model before flows use it.")


@app.callback()
def model() -> None:
    """Check a model before flows use it."""


class UnnamedModelError(AfterwordError):
    """There is no model to check; the message says how to name one."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A model to check, and its name at its provider; the URL is None for Amazon Bedrock."""

    model: "Model"
    name: str
    url: str | None

    def __str__(self) -> str:
        place = "on Amazon Bedrock" if self.url is None else f"at {self.url}"
        return f"{self.name} {place}"


@app.command()
def check(  # noqa: PLR0913, PLR0917 - a command's options are its parameters
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Option(
            "--model",
            envvar="AFTERWORD_MODEL",
            metavar="NAME",
            help="As its provider calls it, such as one that a flow names. Default: the stack's.",
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            envvar="AFTERWORD_MODEL_URL",
            help="Of an OpenAI-compatible endpoint that no stack has yet, with its version (…/v1).",
        ),
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option(envvar="AFTERWORD_MODEL_API_KEY", help="Of the endpoint at --url."),
    ] = None,
    provider: Annotated[
        str | None,
        typer.Option(
            envvar="AFTERWORD_MODEL_PROVIDER",
            metavar="bedrock|openai",
            help="bedrock: a model of Amazon Bedrock that no stack has yet.",
        ),
    ] = None,
    timeout: Annotated[
        int, typer.Option(metavar="SECONDS", min=1, max=295, help="Of each question.")
    ] = _SECONDS,
    *,
    as_json: AsJson = False,
) -> None:
    """Ask a model for each kind of answer, and show what flows can have of it.

    The questions are short ones from this machine, with the prompts and checks of the worker, and
    are paid for like any others. Exit code 1 when there is no plain text.
    """
    given = _Given(context, name, url, api_key, provider)
    checked = given.endpoint() or of_stack(stack.of(context), given.model())
    with plain_log():
        if not as_json:
            result(str(checked))
        outcomes: list[Outcome] = []
        for outcome in model_checks.ask_all(checked.model, checked.name, timeout):
            outcomes.append(outcome)
            if not as_json:
                result(show(outcome))
    adaptations = checked.model.describe_adaptations(checked.name)
    if as_json:
        result_json(_facts(checked, outcomes, adaptations))
    else:
        for line in conclude(outcomes, adaptations):
            result(line)
    if not outcomes[0].works:
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class _Given:
    """The options that name a model.

    Their variables are those of `make dev`. Variables count where no stack is named, and that of
    the model's name only for an endpoint.
    """

    context: typer.Context
    name: str | None
    url: str | None
    api_key: str | None
    provider: str | None

    def model(self) -> str | None:
        """Return the name of the model that the command line has; None without one."""
        return self.name if self._is_typed("name") else None

    def endpoint(self) -> Checked | None:
        """Return the model of an endpoint that no stack has; None where a stack is meant."""
        provider = self.provider if self._counts("provider") else None
        url = self.url if self._counts("url") else None
        if provider not in {None, _DEMO, *_PROVIDERS}:
            raise typer.BadParameter("must be bedrock or openai", param_hint="--provider")
        if provider == "bedrock" and not (url and self._is_typed("url")):
            settings = {"AFTERWORD_MODEL_PROVIDER": provider}
            services = stack.without_stack(self.context.find_root().obj, settings)
            return Checked(services.model, self._required_name(), None)
        if url:
            if not _URL.fullmatch(url):
                raise typer.BadParameter(
                    "must be an http or https URL, up to and including the version",
                    param_hint="--url",
                )
            model = OpenAIModel(url, self._read_api_key, POOL_SIZE)
            return Checked(model, self._required_name(), _public(url))
        if provider == "openai":
            raise typer.BadParameter("must be given with the provider openai", param_hint="--url")
        return None

    def _read_api_key(self) -> str | None:
        return read_api_key(self.api_key) if self.api_key else None

    def _required_name(self) -> str:
        if not self.name:
            raise typer.BadParameter("must name the endpoint's model", param_hint="--model")
        return self.name

    def _counts(self, option: str) -> bool:
        return self._is_typed(option) or not self._names_stack()

    def _is_typed(self, option: str) -> bool:
        return _name(self.context.get_parameter_source(option)) == "COMMANDLINE"

    def _names_stack(self) -> bool:
        root = self.context.find_root()
        sources = (root.get_parameter_source(option) for option in ("stack", "local"))
        return any(_name(source) != "DEFAULT" for source in sources)


def _name(source: "Enum | None") -> str:
    """Return where the value of an option comes from, by the name that typer has for it."""
    return "DEFAULT" if source is None else source.name


def of_stack(services: "Services", name: str | None) -> Checked:
    """Return the model of a stack, or another one of its provider; raise UnnamedModelError."""
    settings = services.settings
    name = name or settings.default_model
    provider = settings.environ.get("AFTERWORD_MODEL_PROVIDER")
    url = settings.environ.get("AFTERWORD_MODEL_URL")
    if provider is None or name is None:
        raise UnnamedModelError("The stack does not say which model it has: deploy this version.")
    if provider == "openai" and not url:
        raise UnnamedModelError("The stack has no base URL of its model: deploy it with one.")
    shown = _public(url) if provider == "openai" and url else None
    return Checked(services.model, name, shown)


def show(outcome: "Outcome") -> str:
    """Return an outcome as one line."""
    verdict = "works" if outcome.works else "fails"
    about = "about " if outcome.estimated else ""
    tokens = (
        ""
        if outcome.tokens_in is None
        else f"{about}{outcome.tokens_in} tokens in, {outcome.tokens_out} out"
    )
    reason = f"{outcome.reason}: " if outcome.reason else ""
    because = f"{reason}{outcome.message}" if outcome.message else ""
    said = " ".join(text for text in (because, outcome.hint) if text)
    line = f"{outcome.check:<10} {verdict}  {outcome.seconds:5.1f} s  {tokens:<26}  {said}"
    return line.rstrip()


def conclude(outcomes: "Sequence[Outcome]", adaptations: "Sequence[str]") -> "Iterator[str]":
    """Yield the lines after the outcomes: adaptations, and the checks that were not asked."""
    for sentence in adaptations:
        yield f"{'adapted':<10} {sentence}"
    if left := model_checks.not_asked(outcomes):
        why = "there is no text" if outcomes and not outcomes[0].answered else "the time is over"
        yield f"{'not asked':<10} {', '.join(left)}: {why}"


def _facts(
    checked: Checked, outcomes: "Sequence[Outcome]", adaptations: "Sequence[str]"
) -> dict[str, object]:
    return {
        "model": checked.name,
        "provider": "bedrock" if checked.url is None else "openai",
        "url": checked.url,
        "checks": [
            {**asdict(outcome), "seconds": round(outcome.seconds, 3)} for outcome in outcomes
        ],
        "not_asked": model_checks.not_asked(outcomes),
        "adaptations": list(adaptations),
    }


def _public(url: str) -> str:
    """Return a URL without what may be secret: a user and a password, and the query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "its base URL, which is none"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
