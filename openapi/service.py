"""Operations that are open to everybody: root, health, description and documentation page."""

from typing import Literal

from afterword_viewer import MEDIA_TYPES
from openapi.operations import Answer, Described, Operation, Section, path
from openapi.problem import problems

TAG = "Service"
PAGE = MEDIA_TYPES["docs.html"]
SCRIPT, STYLE = MEDIA_TYPES["docs/page.js"], MEDIA_TYPES["docs/page.css"]
CACHED = {"ETag": "The entity tag of the file.", "Cache-Control": "`public, max-age=300`"}
UNCHANGED = {304: Answer(description="`If-None-Match` has the current tag.", headers=CACHED)}
File = Literal["page.css", "page.js", "swagger-ui-bundle.js", "swagger-ui.css"]


class Root(Described):
    """The paths that a new client looks for."""

    docs: Literal["/docs"]
    openapi: Literal["/openapi.json"]
    health: Literal["/health"]


class Health(Described):
    """The API answers."""

    status: Literal["ok"]


SECTION = Section(
    TAG,
    "Open to everybody, without a key.",
    (
        Operation(
            name="get_root",
            route="GET /",
            tag=TAG,
            summary="Find the documentation",
            answers={200: Answer(description="The paths of what is open.", model=Root)},
        ),
        Operation(
            name="health",
            route="GET /health",
            tag=TAG,
            summary="Check that the API answers",
            answers={200: Answer(description="The API answers.", model=Health)},
        ),
        Operation(
            name="health",
            id="check_health",
            route="HEAD /health",
            tag=TAG,
            summary="Check that the API answers, without a body",
            answers={200: Answer(description="The API answers.")},
        ),
        Operation(
            name="get_openapi",
            route="GET /openapi.json",
            tag=TAG,
            summary="Read this description",
            answers={
                200: Answer(
                    description="An OpenAPI 3.1 document.",
                    model=dict[str, object],
                    headers=CACHED,
                ),
                **UNCHANGED,
            },
        ),
        Operation(
            name="get_docs",
            route="GET /docs",
            tag=TAG,
            summary="Open the documentation page",
            answers={
                200: Answer(
                    description="A page that shows this description.",
                    model=str,
                    media_types=(PAGE,),
                    headers=CACHED,
                ),
                **UNCHANGED,
            },
        ),
        Operation(
            name="get_docs_file",
            route="GET /docs/{file}",
            tag=TAG,
            summary="Read a file of the documentation page",
            parameters=(path("file", "The file's name.", File),),
            answers={
                200: Answer(
                    description="The file.", model=str, media_types=(SCRIPT, STYLE), headers=CACHED
                ),
                **UNCHANGED,
            }
            | problems(404),
        ),
    ),
)
