"""Flows: `/v1/flows`."""

from typing import Annotated

from pydantic import Field
from pydantic.experimental.missing_sentinel import MISSING

from afterword.dialects.native.flows import MAX_PAGE
from afterword.dialects.native.responses.flows import (
    FlowList,
    FlowSaved,
    FlowShown,
    FlowVersions,
)
from afterword.flows.drafts import Flow
from openapi.operations import (
    NEXT,
    Answer,
    Operation,
    Section,
    json_body,
    page_parameters,
    path,
    query,
)
from openapi.problem import problems

TAG = "Flows"
KEYS = ("bearer", "apiKey")
NAME = str(Flow.model_json_schema()["properties"]["id"]["pattern"])
ID = path("flowId", "The flow.", Annotated[str, Field(pattern=NAME)])


class FlowDocument(Flow):
    """A flow in the form of its owner."""

    id: Annotated[str, Field(pattern=NAME)] | MISSING = MISSING  # type: ignore[assignment]
    """The id in the path, or left out."""


SECTION = Section(
    TAG,
    "Saved configurations of the generation of texts. Each change is a new version, and a"
    " generation keeps the version of its submission.",
    (
        Operation(
            name="list_flows",
            route="GET /v1/flows",
            tag=TAG,
            summary="List the flows",
            description="By id, in their newest versions.",
            parameters=page_parameters("flows", MAX_PAGE, "cursor"),
            answers={200: Answer(description="A page of flows.", model=FlowList, headers=NEXT)}
            | problems(400, 401, 403, 413, 503),
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
                    "version",
                    "A version; the newest without this parameter.",
                    Annotated[int, Field(ge=1, le=999_999_999)],
                ),
            ),
            answers={200: Answer(description="The flow.", model=FlowShown)}
            | problems(401, 403, 404, 413, 422, 503, s422="The version must be a whole number."),
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
                s409="Another request saved the flow meanwhile, or there are a thousand flows.",
            ),
            keys=KEYS,
        ),
        Operation(
            name="list_flow_versions",
            route="GET /v1/flows/{flowId}/versions",
            tag=TAG,
            summary="List the versions of a flow",
            description="Newest first; the newest thousand are kept.",
            parameters=(ID, *page_parameters("versions", MAX_PAGE, "cursor")),
            answers={
                200: Answer(description="A page of versions.", model=FlowVersions, headers=NEXT)
            }
            | problems(400, 401, 403, 404, 413, 503),
            keys=KEYS,
        ),
    ),
)
