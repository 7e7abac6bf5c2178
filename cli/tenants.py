"""`afterword tenant`."""

import re
from dataclasses import replace
from typing import Annotated

import typer

from afterword.limits import DEFAULT_WAITS, MAX_RUNNING, MAX_WAITS, Limits
from afterword.services import Services
from afterword.tenants.rules import CACHE_SECONDS
from cli import stack
from cli.arguments import AsJson, TenantId
from cli.terminal import result, result_json, result_table, say

app = typer.Typer(no_args_is_help=True, help="Tenants: who owns keys, flows and generations.")

_HIGHEST = {"running_at_once": MAX_RUNNING, "waits_at_once": MAX_WAITS}
_LIMIT = re.compile(r"[1-9][0-9]{0,14}")


@app.command()
def create(
    context: typer.Context,
    tenant_id: Annotated[str, typer.Argument(metavar="ID", help="Letters, digits, '-' and '_'.")],
    name: Annotated[str, typer.Option(help="Name for people.")],
) -> None:
    """Create a tenant."""
    created = stack.of(context).registry.create_tenant(tenant_id, name)
    say(f"Created tenant {created.id} ({created.name}).")


@app.command()
def limits(  # noqa: PLR0913, PLR0917 - a command's options are its parameters
    context: typer.Context,
    tenant: TenantId,
    requests_per_minute: Annotated[
        str | None,
        typer.Option(metavar="N|none", help="Submissions accepted in a minute of the clock."),
    ] = None,
    running_at_once: Annotated[
        str | None,
        typer.Option(
            metavar="N|none",
            help=f"Generations open at once, queued ones included; at most {MAX_RUNNING}.",
        ),
    ] = None,
    tokens_per_month: Annotated[
        str | None,
        typer.Option(metavar="N|none", help="Tokens of a calendar month (UTC), in and out."),
    ] = None,
    reads_per_minute: Annotated[
        str | None,
        typer.Option(metavar="N|none", help="Reads, and refused requests, of a minute."),
    ] = None,
    waits_at_once: Annotated[
        str | None,
        typer.Option(
            metavar="N|none",
            help=f"Requests that wait for an end at once; at most {MAX_WAITS}, and without a"
            f" limit {DEFAULT_WAITS}.",
        ),
    ] = None,
    key_requests_per_minute: Annotated[
        str | None,
        typer.Option(metavar="N|none", help="Requests of each key of a minute that may submit."),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show a tenant's limits and what it uses of them; set those that are given, keep the others.

    A change holds everywhere within 60 seconds.
    """
    options = {
        "requests_per_minute": requests_per_minute,
        "running_at_once": running_at_once,
        "tokens_per_month": tokens_per_month,
        "reads_per_minute": reads_per_minute,
        "waits_at_once": waits_at_once,
        "key_requests_per_minute": key_requests_per_minute,
    }
    given = {name: _limit(name, text) for name, text in options.items() if text is not None}
    services = stack.of(context)
    services.registry.get_tenant(tenant)
    holding = replace(services.registry.get_limits(tenant), **given)
    if given:
        services.registry.set_limits(tenant, holding)
        say(
            f"Set the limits of tenant {tenant}; the old ones may hold for up to"
            f" {CACHE_SECONDS:.0f} seconds more."
        )
    _show(services, tenant, holding, as_json=as_json)


@app.command("webhook-hosts")
def webhook_hosts(
    context: typer.Context,
    tenant: TenantId,
    hosts: Annotated[
        list[str] | None,
        typer.Argument(metavar="HOST", help="Hosts such as hooks.example.com, in slot of all."),
    ] = None,
    *,
    none: Annotated[bool, typer.Option("--none", help="Allow none.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the hosts that a submission's webhook_url may name, or set them.

    With the first ones the secret that signs what is sent there is printed, this once.
    A change holds everywhere within 60 seconds.
    """
    if none and hosts:
        raise typer.BadParameter("takes all away: give no HOST beside it", param_hint="--none")
    services = stack.of(context)
    services.registry.get_tenant(tenant)
    secret = None
    if hosts or none:
        secret = services.webhook_endpoints.set_hosts(
            tenant, {host.lower() for host in hosts or ()}
        )
        say(
            f"Set the webhook hosts of tenant {tenant}; the old ones may hold for up to"
            f" {CACHE_SECONDS:.0f} seconds more."
        )
    holding = sorted(services.registry.get_rules(tenant).webhook_hosts)
    if as_json:
        result_json({"tenant": tenant, "hosts": holding, "secret": secret})
        return
    for host in holding:
        result(host)
    if secret is not None:
        result(secret)
        say("This is the secret of what is sent there. It is shown this once: keep it safe.")


@app.command()
def models(
    context: typer.Context,
    tenant: TenantId,
    allow: Annotated[
        list[str] | None,
        typer.Option(metavar="MODEL", help="Allow this model, in place of all before; repeatable."),
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Allow all that the stack may use.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the models that a tenant's flows may name beside the stack's own, or set them.

    A change holds everywhere within 60 seconds, for flows that are saved already, too.
    """
    if every and allow:
        raise typer.BadParameter("allows each model: give no --allow beside it", param_hint="--all")
    registry = stack.of(context).registry
    registry.get_tenant(tenant)
    if allow or every:
        registry.set_models(tenant, None if every else {model.strip() for model in allow or ()})
        say(
            f"Set the models of tenant {tenant}; the old ones may hold for up to"
            f" {CACHE_SECONDS:.0f} seconds more."
        )
    holding = registry.get_rules(tenant).models
    shown = None if holding is None else sorted(holding)
    if as_json:
        result_json({"tenant": tenant, "models": shown})
        return
    for model in ["all"] if shown is None else shown:
        result(model)


def _limit(name: str, text: str) -> int | None:
    """Return the limit that an option gives."""
    if text == "none":
        return None
    option = f"--{name.replace('_', '-')}"
    if not _LIMIT.fullmatch(text):
        raise typer.BadParameter(
            f"{text!r} is neither a whole number above 0 nor 'none'", param_hint=option
        )
    limit = int(text)
    highest = _HIGHEST.get(name, limit)
    if limit > highest:
        raise typer.BadParameter(f"{limit} is above {highest}", param_hint=option)
    return limit


def _show(services: Services, tenant: str, limits: Limits, *, as_json: bool) -> None:
    """Print each limit and its use; None for a count that no limit of the tenant needs."""
    used = services.quotas.get_status(tenant)
    has_slots = limits.running_at_once is not None
    counts_tokens = has_slots or limits.tokens_per_month is not None
    reads = limits.reads_per_minute
    rows = {
        "requests_per_minute": (limits.requests_per_minute, used.requests if limits.any else None),
        "running_at_once": (limits.running_at_once, used.running if has_slots else None),
        "tokens_per_month": (limits.tokens_per_month, used.tokens if counts_tokens else None),
        "reads_per_minute": (reads, None if reads is None else used.reads),
        "waits_at_once": (limits.waits, used.waits),
        "key_requests_per_minute": (limits.key_requests_per_minute, None),
    }
    if as_json:
        shown = {name: {"limit": limit, "used": count} for name, (limit, count) in rows.items()}
        result_json({"tenant": tenant, **shown})
        return
    result_table(
        ("LIMIT", "AT MOST", "USED"),
        [
            (
                name.replace("_", " "),
                "none" if limit is None else str(limit),
                "not counted" if count is None else str(count),
            )
            for name, (limit, count) in rows.items()
        ],
    )
