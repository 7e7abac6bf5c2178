"""Flows: `/v1/flows`."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field
from pydantic.experimental.missing_sentinel import MISSING

from afterword.flows.flow import Flow, FlowType
from openapi.operations import Answer, Described, Operation, Section, json_body, path, query
from openapi.problem import WrongMember, problems

TAG = "Flows"
KEYS = ("bearer",)
NAME = str(Flow.model_json_schema()["properties"]["id"]["pattern"])
ID = path("flowId", "The flow.", Annotated[str, Field(pattern=NAME)])


class FlowDocument(Flow):
    """A flow as its owner writes it."""

    id: Annotated[str, Field(pattern=NAME)] | MISSING = MISSING  # type: ignore[assignment]
    """That of the path, if it is sent."""


class FlowHead(Described):
    """A flow in one version."""

    id: str
    version: Annotated[int, Field(ge=1)]
    created_at: datetime
    """When this version was saved."""


class FlowSummary(FlowHead):
    """A flow in its newest version, without its steps."""

    name: str
    type: FlowType


class FlowList(Described):
    """All flows that a key may see."""

    flows: list[FlowSummary]


class FlowShown(FlowHead):
    """A flow in one version, with the document that was saved."""

    flow: dict[str, Any]


class FlowSaved(FlowShown):
    """A flow that was saved."""

    warnings: list[WrongMember]
    """What may be a mistake in it."""


class FlowVersion(Described):
    """A version of a flow."""

    version: Annotated[int, Field(ge=1)]
    created_at: datetime


class FlowVersions(Described):
    """The versions of a flow."""

    id: str
    versions: list[FlowVersion]
    """Newest first."""


SECTION = Section(
    TAG,
    "Saved configurations of how texts are generated. Each change is a new version, and a"
    " generation keeps the one that it was submitted to.",
    (
        Operation(
            name="list_flows",
            route="GET /v1/flows",
            tag=TAG,
            summary="List the flows",
            answers={200: Answer(description="The flows.", model=FlowList)}
            | problems(401, 403, 413, 503),
            keys=KEYS,
        ),
        Operation(
            name="get_flow",
            route="GET /v1/flows/{flowId}",
            tag=TAG,
            summary="Read a flow",
            parameters=(
                ID,
                query(
                    "version", "The newest without it.", Annotated[int, Field(ge=1, le=999_999_999)]
                ),
            ),
            answers={200: Answer(description="The flow.", model=FlowShown)}
            | problems(401, 403, 404, 413, 422, 503, s422="The version is no whole number."),
            keys=KEYS,
        ),
        Operation(
            name="put_flow",
            route="PUT /v1/flows/{flowId}",
            tag=TAG,
            summary="Save a flow as its next version",
            description="Nothing is saved if the newest version is the same.",
            parameters=(ID,),
            body=json_body(FlowDocument),
            answers={200: Answer(description="The flow.", model=FlowSaved)}
            | problems(
                *(400, 401, 403, 409, 413, 422, 503),
                s409="It was saved by somebody else meanwhile.",
            ),
            keys=KEYS,
        ),
        Operation(
            name="list_flow_versions",
            route="GET /v1/flows/{flowId}/versions",
            tag=TAG,
            summary="List the versions of a flow",
            parameters=(ID,),
            answers={200: Answer(description="The versions.", model=FlowVersions)}
            | problems(401, 403, 404, 413, 503),
            keys=KEYS,
        ),
    ),
)
