"""`afterword`: the command line for the owner of a stack."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated

import typer
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
)
from botocore.exceptions import ConnectionError as AwsConnectionError

from afterword import clock
from afterword.errors import AfterwordError
from afterword.limits import LimitedError
from cli import (
    batches,
    contents,
    dead_letters,
    flow_tests,
    flows,
    generations,
    keys,
    models,
    tenants,
    usage,
    webhooks,
)
from cli.flow_files import FlowFileError
from cli.stack import Target
from cli.terminal import minute, say

_LONG_SECONDS = 600

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(tenants.app, name="tenant")
app.add_typer(keys.app, name="key")
app.add_typer(flows.app, name="flow")
flows.app.command("test")(flow_tests.run)
app.add_typer(contents.app, name="content")
app.command()(generations.submit)
app.command()(generations.watch)
app.command()(generations.cancel)
app.command("usage")(usage.show)
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(batches.app, name="batch")
app.add_typer(models.app, name="model")
app.add_typer(webhooks.app, name="webhook")


@app.callback()
def options(
    context: typer.Context,
    stack: Annotated[
        str, typer.Option(envvar="AFTERWORD_STACK", help="Name of the CloudFormation stack.")
    ] = "afterword",
    region: Annotated[str | None, typer.Option(help="AWS region of the stack.")] = None,
    profile: Annotated[str | None, typer.Option(help="Profile of your AWS configuration.")] = None,
    *,
    local: Annotated[
        bool,
        typer.Option("--local", envvar="AFTERWORD_LOCAL", help="Use the embedded stack that runs."),
    ] = False,
) -> None:
    """Create tenants, keys, flows and contents in a stack of afterword, and try them out."""
    context.obj = Target(stack, region, profile, local)
    context.with_resource(_problems_explained(local=local))


@contextmanager
def _problems_explained(*, local: bool) -> Iterator[None]:
    """Turn what can go wrong in any command into a line on standard error and exit code 1."""
    try:
        yield
    except FlowFileError as error:
        say(str(error))
        raise typer.Exit(1) from error
    except (AfterwordError, BotoCoreError, ClientError) as error:
        say(f"afterword: {_explain(error, local=local)}")
        raise typer.Exit(1) from error


def _explain(error: AfterwordError | BotoCoreError | ClientError, *, local: bool) -> str:
    """Return one line: the problem and its remedy."""
    match error:
        case NoCredentialsError():
            text = (
                "There are no AWS credentials: run `aws configure`, name a --profile,"
                " or use --local for the embedded stack."
            )
        case NoRegionError():
            text = "There is no AWS region: name a --region, or set AWS_DEFAULT_REGION."
        case HTTPClientError() | AwsConnectionError() if local:
            text = f"The embedded stack does not answer: start it with `make dev`. ({error})"
        case HTTPClientError() | AwsConnectionError():
            text = f"AWS does not answer: check the region and your connection. ({error})"
        case ClientError():
            code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
            text = f"AWS refused {error.operation_name}: {code}: {message}"
        case LimitedError():
            text = f"{error} Try again {_later(error.retry_after)}."
        case _:
            text = str(error)
    return " ".join(text.split())


def _later(seconds: int) -> str:
    """Return when it is worth to try again: in so many seconds, or the time when that is long."""
    if seconds <= _LONG_SECONDS:
        return f"in {seconds} s"
    return f"after {minute(clock.now() + timedelta(seconds=seconds + 1))} UTC"


def run() -> None:
    """Run the command line."""
    app()
