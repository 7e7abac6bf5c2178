"""`afterword submit`, `afterword watch` and `afterword cancel`."""

import json
import time
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from afterword import clock
from afterword.dialects.dialonce import parameters
from afterword.generations import GONE, MAX_DEADLINE, MIN_DEADLINE, Generation, Status
from afterword.runtime import json_text
from afterword.runtime.json_text import JsonText
from cli import stack
from cli.arguments import AsJson, FlowId, TenantId
from cli.terminal import console, plain_log, result, result_json, say

if TYPE_CHECKING:
    from afterword.generations import Source
    from afterword.generations.store import GenerationStore

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
    deadline: Annotated[
        int | None,
        typer.Option(
            metavar="SECONDS",
            min=int(MIN_DEADLINE.total_seconds()),
            max=int(MAX_DEADLINE.total_seconds()),
            help="It fails unless it is finished by then. Default: what the flow says, or an hour.",
        ),
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
    within = None if deadline is None else timedelta(seconds=deadline)
    submission = parameters.parse_submission(sent, flow, within)
    services = stack.of(context)
    services.registry.get_tenant(tenant)
    with plain_log():
        generation_id = services.submitter.submit(tenant, submission)
    if not watch:
        if as_json:
            result_json({"id": generation_id})
        else:
            result(generation_id)
        return
    say(f"Submitted {generation_id}.")
    end(follow(services.store, tenant, generation_id), as_json=as_json)


def watch(
    context: typer.Context,
    tenant: TenantId,
    generation_id: Annotated[str, typer.Argument(metavar="ID", help="The generation's id.")],
    timeout: Annotated[
        int | None,
        typer.Option(
            metavar="SECONDS", min=0, help="Stop watching then, with exit code 1; it goes on."
        ),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Wait for a generation and print its text; exit code 1 if it failed."""
    services = stack.of(context)
    services.registry.get_tenant(tenant)
    generation = follow(services.store, tenant, generation_id, timeout)
    if not generation.status.terminal:
        say(
            f"afterword: Generation {generation_id} is still {generation.status} after {timeout} s"
            " of watching; it goes on."
        )
        raise typer.Exit(1)
    end(generation, as_json=as_json)


def cancel(
    context: typer.Context,
    tenant: TenantId,
    generation_id: Annotated[str, typer.Argument(metavar="ID", help="The generation's id.")],
) -> None:
    """Cancel a generation that is not finished; exit code 1 if it has finished already."""
    with plain_log():
        status = stack.of(context).outbox.cancel(tenant, generation_id)
    if status is not Status.CANCELED:
        say(f"afterword: Generation {generation_id} cannot be canceled: it has {status}.")
        raise typer.Exit(1)
    say(f"Canceled {generation_id}.")


def _mail(
    subject: str | None, body: str | None, metadata: str | None, template: Path | None
) -> bytes:
    """Return the API's JSON body. The metadata stay as they are written."""
    members = {
        "subject": JsonText(json.dumps(subject or "")),
        "body": JsonText(json.dumps(body or "")),
    }
    if metadata is not None:
        try:
            json.loads(metadata)
        except (ValueError, RecursionError) as error:
            raise typer.BadParameter(f"is not JSON: {error}", param_hint="--metadata") from error
        members["metadata"] = JsonText(metadata)
    if template is not None:
        try:
            text = _read(template, "--template").decode()
            members["template"] = JsonText(json.dumps(text))
        except UnicodeDecodeError as error:
            raise typer.BadParameter(f"{template} is not UTF-8", param_hint="--template") from error
    return json_text.render(members).encode("utf-8", "surrogatepass")


def _read(path: Path, option: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{path}: {error.strerror}", param_hint=option) from error


def follow(
    store: "GenerationStore", tenant: str, generation_id: str, timeout: int | None = None
) -> Generation:
    """Say each status as it comes, with a live one below on a terminal; return the last.

    That is the end, or where it stands when the timeout's seconds have gone by.
    """
    began = clock.now()
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
            watched = (clock.now() - began).total_seconds()
            if generation.status.terminal or (timeout is not None and watched >= timeout):
                return generation
            live.update(f"{status}, {seconds:.0f} s")
            time.sleep(POLL_SECONDS)


def _status(generation: Generation) -> str:
    attempt = f", attempt {generation.attempt}" if generation.attempt else ""
    setback, next_at = generation.setback, generation.next_at
    if setback is None:
        return f"{generation.status}{attempt}"
    cause = setback.reason if setback.code is None else f"{setback.reason} ({setback.code})"
    again = "" if next_at is None else f", next try at {next_at:%H:%M:%S} UTC"
    return f"{generation.status}{attempt}, last error {cause}{again}"


def _seconds(generation: Generation) -> float:
    """Return how long it has taken, or took, since its submission."""
    until = generation.finished_at or clock.now()
    return max(0.0, (until - generation.created_at).total_seconds())


def end(generation: Generation, *, as_json: bool) -> None:
    """Print what came of it; exit with 1 if that is no text."""
    completion = generation.completion
    if as_json:
        result_json(facts(generation))
    elif completion is not None:
        result(completion.text)
        model = completion.model or "no model needed"
        say(
            f"\n{model}: {completion.tokens_in} tokens in, {completion.tokens_out} out,"
            f" {_seconds(generation):.1f} seconds"
        )
        for source in completion.sources:
            say(f"{'used' if source.used else 'not used'}: {_shown(source)}")
    elif generation.status is Status.FAILED:
        say(f"afterword: The generation failed: {generation.reason}: {generation.message}")
    elif generation.has_lost_result:
        say(f"afterword: The generation has succeeded. {GONE}")
    else:
        say(f"afterword: The generation was {generation.status}.")
    if completion is None:
        raise typer.Exit(1)


def _shown(source: "Source") -> str:
    return f"{source.title} ({source.source or source.external_id or source.content})"


def _last_error(generation: Generation) -> dict[str, object] | None:
    setback, next_at = generation.setback, generation.next_at
    if setback is None:
        return None
    return {**asdict(setback), "retry_at": next_at and next_at.isoformat()}


def facts(generation: Generation) -> dict[str, object]:
    """Return a generation for a script."""
    completion, finished = generation.completion, generation.finished_at
    return {
        "id": generation.id,
        "tenant": generation.tenant,
        "flow": generation.flow,
        "flow_version": generation.flow_version,
        "retry_of": generation.retry_of,
        "status": generation.status,
        "attempt": generation.attempt,
        "created_at": generation.created_at.isoformat(),
        "deadline_at": generation.deadline_at.isoformat(),
        "finished_at": finished and finished.isoformat(),
        "seconds": _seconds(generation),
        "text": completion and completion.text,
        "model": completion and completion.model,
        "stop_reason": completion and completion.stop_reason,
        "tokens_in": completion and completion.tokens_in,
        "tokens_out": completion and completion.tokens_out,
        "sources": completion and [asdict(source) for source in completion.sources],
        "reason": generation.reason,
        "message": generation.message,
        "last_error": _last_error(generation),
        "gone": generation.gone,
    }
