"""Arguments and options that several commands take."""

from typing import Annotated

import typer

TenantId = Annotated[str, typer.Argument(metavar="TENANT", help="The tenant's id.")]
FlowId = Annotated[str, typer.Argument(metavar="FLOW", help="The flow's id.")]
Limit = Annotated[
    int | None, typer.Option("--limit", metavar="N", min=1, help="The first N alone.")
]
After = Annotated[
    str | None, typer.Option("--after", metavar="ID", help="Those behind this one in the list.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
