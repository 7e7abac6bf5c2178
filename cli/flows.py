"""`afterword flow`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from afterword.contents import folder_id, tag_id
from afterword.errors import NotFoundError
from afterword.generations import is_id
from cli import flow_files, stack
from cli.arguments import AsJson, FlowId, TenantId
from cli.terminal import minute, result, result_json, result_table, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from afterword.content_store import ContentStore
    from afterword.flows import Flow
    from afterword.registry import Registry, StoredFlow

app = typer.Typer(no_args_is_help=True, help="Flows: how a tenant's texts are generated.")


@app.command()
def put(
    context: typer.Context,
    tenant: TenantId,
    file: Annotated[Path, typer.Argument(help="YAML or JSON.")],
) -> None:
    """Save a flow from a file, as the next version of the id that it names."""
    flow = flow_files.read(file)
    document = flow.model_dump_json(exclude_none=True, exclude_unset=True)
    there = stack.of(context)
    saved = there.registry.put_flow(tenant, flow.id, document)
    say(f"Saved flow {saved.id} of tenant {tenant} as version {saved.version}.")
    for field, kind, label in _not_there(there.contents, tenant, flow):
        say(
            f"afterword: {field}: There is no {kind} {label} yet: the step finds nothing in it"
            " until a content is added to it."
        )


@app.command("list")
def list_flows(
    context: typer.Context,
    tenant: TenantId,
    *,
    as_json: AsJson = False,
) -> None:
    """List a tenant's flows in their newest versions."""
    registry = stack.of(context).registry
    registry.tenant(tenant)
    flows = registry.flows(tenant)
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
    registry.tenant(tenant)
    newest = registry.flow(tenant, flow)
    if version is None:
        return newest
    if version > newest.version:
        raise NotFoundError(
            f"Flow {flow} has no version {version}: the newest is {newest.version}."
        )
    return registry.flow(tenant, flow, version)


def _not_there(
    contents: "ContentStore", tenant: str, flow: "Flow"
) -> "Iterator[tuple[str, str, str]]":
    """Return the folders and tags of a flow that no content has made yet, and their fields."""
    named = [
        (f"steps[{number}].context.{kind}s", kind, label, _id(tenant, label, id_of))
        for number, step in enumerate(flow.steps)
        if step.context is not None
        for kind, labels, id_of in (
            ("folder", step.context.folders, folder_id),
            ("tag", step.context.tags, tag_id),
        )
        for label in labels
    ]
    if not named:
        return
    ids = {
        wanted: {label_id for _, kind, _, label_id in named if kind == wanted}
        for wanted in ("folder", "tag")
    }
    there = contents.labels(tenant, ids["folder"], ids["tag"])
    for field, kind, label, label_id in named:
        if label_id not in there:
            yield field, kind, label


def _id(tenant: str, label: str, id_of: "Callable[[str, str], str]") -> str:
    """Return the id of what a flow names, by its name or by its id."""
    return label if is_id(label) else id_of(tenant, label)


def _name(flow: "StoredFlow") -> str:
    return str(json.loads(flow.document)["name"])
