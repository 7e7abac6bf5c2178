"""Arguments and options that several commands take."""

from typing import Annotated

import typer

TenantId = Annotated[str, typer.Argument(metavar="TENANT", help="The tenant's id.")]
FlowId = Annotated[str, typer.Argument(metavar="FLOW", help="The flow's id.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
