"""`afterword submit`, `afterword watch` and `afterword cancel`."""

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from afterword import clock, json_body, telemetry
from afterword.dialects.dialonce import parameters
from afterword.generations import Generation, Status
from cli import stack
from cli.arguments import AsJson, FlowId, TenantId
from cli.terminal import console, result, result_json, say

if TYPE_CHECKING:
    from afterword.store import GenerationStore

POLL_SECONDS = 0.5


def submit(  # noqa: PLR0913, PLR0917 - a command's options are its parameters
    context: typer.Context,
    tenant: TenantId,
    flow: FlowId,
    subject: Annotated[str | None, typer.Option(help="Subject of the mail.")] = None,
    body: Annotated[str | None, typer.Option(help="Body of the mail.")] = None,
    metadata: Annotated[str | None, typer.Option(help="More about it: a JSON object.")] = None,
    template: Annotated[
        Path | None,
        typer.Option(help="File with a reply whose bracketed placeholders are filled in."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="Instead of the above: the API's JSON body in a file.")
    ] = None,
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Wait for the reply.")] = False,
    as_json: AsJson = False,
) -> None:
    """Submit a mail to be answered, and print its generation's id."""
    if file is None:
        sent = _mail(subject, body, metadata, template)
    elif (subject, body, metadata, template) == (None, None, None, None):
        sent = _read(file, "--file")
    else:
        raise typer.BadParameter(
            "has the whole mail: give no other part of it", param_hint="--file"
        )
    submission = parameters.submission(sent, flow)
    there = stack.of(context)
    there.registry.tenant(tenant)
    with _plain_log():
        generation_id = there.submitter.submit(tenant, submission)
    if not watch:
        if as_json:
            result_json({"id": generation_id})
        else:
            result(generation_id)
        return
    say(f"Submitted {generation_id}.")
    _end(_follow(there.store, tenant, generation_id), as_json=as_json)


def watch(
    context: typer.Context,
    tenant: TenantId,
    generation_id: Annotated[str, typer.Argument(metavar="ID", help="The generation's id.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Wait for a generation and print its text; exit code 1 if it failed."""
    there = stack.of(context)
    there.registry.tenant(tenant)
    _end(_follow(there.store, tenant, generation_id), as_json=as_json)


def cancel(
    context: typer.Context,
    tenant: TenantId,
    generation_id: Annotated[str, typer.Argument(metavar="ID", help="The generation's id.")],
) -> None:
    """Cancel a generation that is not finished; exit code 1 if it has finished already."""
    store = stack.of(context).store
    if not store.cancel(tenant, generation_id):
        status = store.get(tenant, generation_id).status
        say(f"afterword: Generation {generation_id} cannot be canceled: it has {status}.")
        raise typer.Exit(1)
    say(f"Canceled {generation_id}.")


def _mail(
    subject: str | None, body: str | None, metadata: str | None, template: Path | None
) -> bytes:
    """Return the API's JSON body. The metadata stay as they are written."""
    members = {"subject": json.dumps(subject or ""), "body": json.dumps(body or "")}
    if metadata is not None:
        try:
            json.loads(metadata)
        except (ValueError, RecursionError) as error:
            raise typer.BadParameter(f"is not JSON: {error}", param_hint="--metadata") from error
        members["metadata"] = metadata
    if template is not None:
        try:
            members["template"] = json.dumps(_read(template, "--template").decode())
        except UnicodeDecodeError as error:
            raise typer.BadParameter(f"{template} is not UTF-8", param_hint="--template") from error
    return json_body.render_object(members).encode("utf-8", "surrogatepass")


def _read(path: Path, option: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{path}: {error.strerror}", param_hint=option) from error


@contextmanager
def _plain_log() -> Iterator[None]:
    """Show the core's warnings as lines for a person, and nothing else of its log."""
    log = telemetry.logger()
    plain, structured = _Plain(logging.WARNING), log.registered_handler
    level = structured.level
    structured.setLevel(logging.CRITICAL + 1)
    log.addHandler(plain)
    try:
        yield
    finally:
        logging.getLogger(log.name).removeHandler(plain)
        structured.setLevel(level)


class _Plain(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(f"afterword: {record.getMessage()}: {getattr(record, 'why', 'no reason given')}")


def _follow(store: "GenerationStore", tenant: str, generation_id: str) -> Generation:
    """Say each status as it comes, with a live one below on a terminal; return the last."""
    terminal = console(stderr=True)
    said = ""
    with terminal.status("") as live:
        while True:
            generation = store.get(tenant, generation_id)
            status = _status(generation)
            seconds = _seconds(generation)
            if status != said:
                terminal.print(f"{seconds:6.1f} s  {status}")
                said = status
            if generation.status.terminal:
                return generation
            live.update(f"{status}, {seconds:.0f} s")
            time.sleep(POLL_SECONDS)


def _status(generation: Generation) -> str:
    attempt = f", attempt {generation.attempt}" if generation.attempt else ""
    return f"{generation.status}{attempt}"


def _seconds(generation: Generation) -> float:
    """Return how long it has taken, or took, since its submission."""
    until = generation.finished_at or clock.now()
    return max(0.0, (until - generation.created_at).total_seconds())


def _end(generation: Generation, *, as_json: bool) -> None:
    """Print what came of it; exit with 1 if that is no text."""
    completion = generation.completion
    if as_json:
        result_json(_facts(generation))
    elif completion is not None:
        result(completion.text)
        model = completion.model or "no model needed"
        say(
            f"\n{model}: {completion.tokens_in} tokens in, {completion.tokens_out} out,"
            f" {_seconds(generation):.1f} seconds"
        )
    elif generation.status is Status.FAILED:
        say(f"afterword: The generation failed: {generation.reason}: {generation.message}")
    else:
        say(f"afterword: The generation was {generation.status}.")
    if completion is None:
        raise typer.Exit(1)


def _facts(generation: Generation) -> dict[str, object]:
    completion, finished = generation.completion, generation.finished_at
    return {
        "id": generation.id,
        "tenant": generation.tenant,
        "flow": generation.flow,
        "flow_version": generation.flow_version,
        "status": generation.status,
        "attempt": generation.attempt,
        "created_at": generation.created_at.isoformat(),
        "finished_at": finished and finished.isoformat(),
        "seconds": _seconds(generation),
        "text": completion and completion.text,
        "model": completion and completion.model,
        "stop_reason": completion and completion.stop_reason,
        "tokens_in": completion and completion.tokens_in,
        "tokens_out": completion and completion.tokens_out,
        "reason": generation.reason,
        "message": generation.message,
    }
