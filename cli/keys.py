"""`afterword key`."""

from typing import TYPE_CHECKING, Annotated

import typer

from afterword.tenants.keys import Scope
from cli import stack
from cli.arguments import After, AsJson, Limit, TenantId
from cli.terminal import minute, result, result_json, result_table, say

if TYPE_CHECKING:
    from afterword.tenants.keys import ApiKey

app = typer.Typer(no_args_is_help=True, help="API keys of a tenant.")


@app.command()
def create(  # noqa: PLR0913 - a command's options are its parameters
    context: typer.Context,
    tenant: TenantId,
    scope: Annotated[
        list[Scope] | None,
        typer.Option(help="What the key may do; repeatable. Default: submit and read."),
    ] = None,
    label: Annotated[str, typer.Option(help="What the key is for.")] = "",
    flow: Annotated[
        str | None, typer.Option(help="Bind it to this flow: the app's key of GenAI Stack.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Create a key. The key is printed this once: only its hash is stored."""
    scopes = scope or [Scope.SUBMIT, Scope.READ]
    created, key_string = stack.of(context).registry.create_key(tenant, scopes, label, flow)
    if as_json:
        result_json({"key": key_string, **_facts(created)})
        return
    result(key_string)
    say(
        f"This is key {created.id} of tenant {tenant} ({_scopes(created)}{_bound(created)})."
        " It is shown this once: keep it somewhere safe."
    )


@app.command("list")
def list_keys(
    context: typer.Context,
    tenant: TenantId,
    limit: Limit = None,
    after: After = None,
    *,
    as_json: AsJson = False,
) -> None:
    """List a tenant's keys, live and revoked, oldest first."""
    registry = stack.of(context).registry
    registry.get_tenant(tenant)
    every = registry.list_keys(tenant)
    ids = [key.id for key in every]
    if after is not None and after not in ids:
        raise typer.BadParameter(f"{after!r} is no key of the tenant", param_hint="--after")
    start = 0 if after is None else ids.index(after) + 1
    keys = every[start:][:limit]
    if keys and keys[-1].id != ids[-1]:
        say(f"There are more keys: --after {keys[-1].id}")
    if as_json:
        result_json([_facts(key) for key in keys])
        return
    result_table(
        ("ID", "LABEL", "SCOPES", "FLOW", "CREATED (UTC)", "REVOKED (UTC)"),
        [
            (
                key.id,
                key.label,
                _scopes(key),
                key.flow or "",
                minute(key.created_at),
                minute(key.revoked_at),
            )
            for key in keys
        ],
    )


@app.command()
def revoke(
    context: typer.Context,
    tenant: TenantId,
    key_id: Annotated[str, typer.Argument(help="The key's id, as `key list` shows it.")],
) -> None:
    """Revoke a key, for good."""
    stack.of(context).registry.revoke_key(tenant, key_id)
    say(f"Revoked key {key_id} of tenant {tenant}; it may be taken for up to 60 seconds more.")


def _scopes(key: "ApiKey") -> str:
    return ", ".join(scope for scope in Scope if scope in key.scopes)


def _bound(key: "ApiKey") -> str:
    return "" if key.flow is None else f", for the flow {key.flow} alone"


def _facts(key: "ApiKey") -> dict[str, object]:
    return {
        "id": key.id,
        "tenant": key.tenant,
        "label": key.label,
        "scopes": [scope for scope in Scope if scope in key.scopes],
        "flow": key.flow,
        "created_at": key.created_at.isoformat(),
        "revoked_at": key.revoked_at and key.revoked_at.isoformat(),
    }
