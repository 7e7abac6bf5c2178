"""`afterword dead-letters`."""

from typing import TYPE_CHECKING, Annotated

import typer

from afterword import clock
from afterword.errors import ConflictError, GoneError, NotFoundError
from afterword.limits import LimitedError
from cli import stack
from cli.arguments import AsJson, TenantId
from cli.terminal import minute, plain_log, progress, result, result_json, result_table, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from afterword.engine.submission import Submitter
    from afterword.generations.ends import DeadLetter

app = typer.Typer(
    no_args_is_help=True,
    help="Dead letters: generations that failed because their messages came too often.",
)


@app.command("list")
def list_dead_letters(context: typer.Context, tenant: TenantId, *, as_json: AsJson = False) -> None:
    """List a tenant's dead letters that were not submitted again, newest first."""
    services = stack.of(context)
    services.registry.get_tenant(tenant)
    letters = services.listings.list_dead_letters(tenant)
    if as_json:
        result_json([_facts(letter) for letter in letters])
        return
    result_table(
        ("ID", "FLOW", "ATTEMPTS", "FINISHED (UTC)", "RECEIVED", "MESSAGE"),
        (
            (
                letter.id,
                letter.flow,
                str(letter.attempt),
                minute(letter.finished_at),
                letter.facts.get("ApproximateReceiveCount", ""),
                letter.message_id,
            )
            for letter in letters
        ),
    )


@app.command()
def resubmit(
    context: typer.Context,
    tenant: TenantId,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID", help="Generations, as `list` shows them.")
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All that `list` shows.")] = False,
    as_json: AsJson = False,
) -> None:
    """Submit dead letters again, as new generations that name the old ones.

    The same letter twice makes one generation. Failures are printed, and the other letters go on;
    exit code 1 then.
    """
    if every and ids:
        raise typer.BadParameter("takes all: give no ID beside it", param_hint="--all")
    if not every and not ids:
        raise typer.BadParameter("give at least one, or --all", param_hint="ID")
    services = stack.of(context)
    services.registry.get_tenant(tenant)
    if every:
        ids = [letter.id for letter in services.listings.list_dead_letters(tenant)][
            ::-1
        ]  # oldest first
        if not ids:
            say(f"Tenant {tenant} has no dead letters.")
    ends: list[dict[str, str | None]] = []
    try:
        _resubmit(services.submitter, tenant, ids or [], ends, as_json=as_json)
    finally:
        if as_json:
            result_json(ends)
    if any(end["retried_as"] is None for end in ends):
        raise typer.Exit(1)


def _resubmit(
    submitter: "Submitter",
    tenant: str,
    ids: "Sequence[str]",
    ends: list[dict[str, str | None]],
    *,
    as_json: bool,
) -> None:
    """Submit them again one by one, and add what came of each to `ends`."""
    done = 0
    with plain_log(), progress() as bar:
        for generation_id in bar.track(ids):
            retry_id = message = None
            try:
                retry_id = submitter.retry(tenant, generation_id).id
            except LimitedError as error:
                raise LimitedError(
                    f"{error} {done} of {len(ids)} are submitted again: the same command goes on"
                    " with the others.",
                    error.retry_after,
                ) from error
            except (NotFoundError, ConflictError, GoneError) as error:
                message = str(error)
                say(f"afterword: {generation_id}: {message}")
            else:
                done += 1
                if not as_json:
                    result(f"{generation_id} -> {retry_id}")
            ends.append({"id": generation_id, "retried_as": retry_id, "message": message})
    if ids:
        say(f"Submitted {done} of {len(ids)} again.")


def _facts(letter: "DeadLetter") -> dict[str, object]:
    received = letter.facts.get("ApproximateReceiveCount")
    return {
        "id": letter.id,
        "flow": letter.flow,
        "attempts": letter.attempt,
        "finished_at": letter.finished_at.isoformat(),
        "received": None if received is None else int(received),
        "sent_at": _time(letter, "SentTimestamp"),
        "first_received_at": _time(letter, "ApproximateFirstReceiveTimestamp"),
        "message_id": letter.message_id,
    }


def _time(letter: "DeadLetter", fact: str) -> str | None:
    """Return a time that SQS has in milliseconds."""
    millis = letter.facts.get(fact)
    return None if millis is None else clock.from_millis(int(millis)).isoformat()
