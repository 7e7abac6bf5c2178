"""Contents of the knowledge base: `/v1/contents`."""

from typing import Annotated

from pydantic import Field

from afterword.knowledge import MAX_EXTERNAL_ID
from openapi.operations import Answer, Operation, Section, path
from openapi.problem import problems

TAG = "Contents"
KEYS = ("bearer", "apiKey")
SECTION = Section(
    TAG,
    "The documents of the knowledge base. Takes a key with the scope `admin` that is bound to no"
    " flow. The section Promptitude has the other operations.",
    (
        Operation(
            name="delete_content",
            route="DELETE /v1/contents/{contentId}",
            tag=TAG,
            summary="Delete a content and its text",
            parameters=(
                path(
                    "contentId",
                    "The content, by its id or your own id.",
                    Annotated[str, Field(min_length=1, max_length=MAX_EXTERNAL_ID)],
                ),
            ),
            answers={204: Answer(description="The content is deleted.")}
            | problems(401, 403, 404, 413, 503),
            keys=KEYS,
        ),
    ),
)
