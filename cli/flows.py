"""`afterword flow`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from afterword.errors import NotFoundError
from afterword.flows import documents
from afterword.tenants.registry import MAX_FLOWS
from cli import flow_files, stack
from cli.arguments import After, AsJson, FlowId, Limit, TenantId
from cli.terminal import minute, result, result_json, result_table, say

if TYPE_CHECKING:
    from afterword.tenants import StoredFlow
    from afterword.tenants.registry import Registry

app = typer.Typer(no_args_is_help=True, help="Flows: how a tenant's texts are generated.")


@app.command()
def put(
    context: typer.Context,
    tenant: TenantId,
    file: Annotated[Path, typer.Argument(help="YAML or JSON.")],
) -> None:
    """Save a flow from a file, as the next version of the id that it names."""
    flow = flow_files.read(file)
    services = stack.of(context)
    services.registry.get_tenant(tenant)
    models = (step.model for step in flow.steps)
    for field, problem in services.model_access.list_problems(tenant, models):
        raise flow_files.FlowFileError(f"{field}: {problem}")
    by_meaning = services.ranks_by_meaning
    for field, problem in documents.list_ranking_problems(flow, by_meaning=by_meaning):
        raise flow_files.FlowFileError(f"{field}: {problem}")
    saved = services.registry.put_flow(tenant, flow.id, documents.render_document(flow))
    say(f"Saved flow {saved.id} of tenant {tenant} as version {saved.version}.")
    for field, warning in documents.list_warnings(lambda: services.contents, tenant, flow):
        say(f"afterword: {field}: {warning}")


@app.command("list")
def list_flows(
    context: typer.Context,
    tenant: TenantId,
    limit: Limit = None,
    after: After = None,
    *,
    as_json: AsJson = False,
) -> None:
    """List a tenant's flows in their newest versions, by id."""
    registry = stack.of(context).registry
    registry.get_tenant(tenant)
    flows, more = _read_flows(registry, tenant, limit, after)
    if more is not None:
        say(f"There are more flows: --after {more}")
    if as_json:
        result_json(
            [
                {
                    "id": flow.id,
                    "name": _name(flow),
                    "version": flow.version,
                    "created_at": flow.created_at.isoformat(),
                }
                for flow in flows
            ]
        )
        return
    result_table(
        ("ID", "NAME", "VERSION", "SAVED (UTC)"),
        [(flow.id, _name(flow), str(flow.version), minute(flow.created_at)) for flow in flows],
    )


def _read_flows(
    registry: "Registry", tenant: str, limit: int | None, after: str | None
) -> "tuple[list[StoredFlow], str | None]":
    """Return a tenant's flows, all without a limit, and the last id if there are more."""
    flows: list[StoredFlow] = []
    while True:
        left = MAX_FLOWS if limit is None else limit - len(flows)
        page = registry.page_flows(tenant, left, after)
        flows += page.items
        after = page.after
        if after is None or len(flows) == limit:
            return flows, after


@app.command()
def show(
    context: typer.Context,
    tenant: TenantId,
    flow: FlowId,
    version: Annotated[int | None, typer.Option(min=1, help="Default: the newest.")] = None,
) -> None:
    """Print a flow as YAML that `flow put` takes again."""
    registry = stack.of(context).registry
    shown = stored(registry, tenant, flow, version)
    result(flow_files.render(shown.document).removesuffix("\n"))


def stored(registry: "Registry", tenant: str, flow: str, version: int | None) -> "StoredFlow":
    """Return a version of a tenant's flow, the newest if None; raise NotFoundError."""
    registry.get_tenant(tenant)
    newest = registry.get_flow(tenant, flow)
    if version is None:
        return newest
    if version > newest.version:
        raise NotFoundError(
            f"Flow {flow} has no version {version}: the newest is {newest.version}."
        )
    return registry.get_flow(tenant, flow, version)


def _name(flow: "StoredFlow") -> str:
    return str(json.loads(flow.document)["name"])
