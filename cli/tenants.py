"""`afterword tenant`."""

from typing import Annotated

import typer

from cli import stack
from cli.terminal import say

app = typer.Typer(no_args_is_help=True, help="Tenants: who owns keys, flows and generations.")


@app.callback()
def tenant() -> None:
    """Keep `create` a subcommand, although it is the only one."""


@app.command()
def create(
    context: typer.Context,
    tenant_id: Annotated[str, typer.Argument(metavar="ID", help="Letters, digits, '-' and '_'.")],
    name: Annotated[str, typer.Option(help="Name for people.")],
) -> None:
    """Create a tenant."""
    created = stack.of(context).registry.create_tenant(tenant_id, name)
    say(f"Created tenant {created.id} ({created.name}).")
