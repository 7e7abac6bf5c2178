"""GenAI Stack's text generations."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from afterword.dialects.genai_stack import MAX_TITLE, PAGE
from afterword.dialects.genai_stack.responses import FastApiError, StackApp, TextGenerationRead
from openapi.operations import (
    DEADLINE,
    DELETED,
    FORM,
    IDEMPOTENCY_KEY,
    JSON,
    MULTIPART,
    NEXT,
    Answer,
    Body,
    Described,
    Operation,
    Section,
    errors,
    json_body,
    page_parameters,
    path,
)

TAG = "GenAI Stack"
KEYS = ("bearer", "token")
ID = path("text_gen_id", "The generation.", UUID)

_Text = str | int | float | bool | None
type PlainForm = dict[str, str]


class Pair(Described):
    """An input of the app."""

    input_key: str
    input_value: _Text | list[_Text]


type JsonForm = dict[str, _Text | list[_Text]] | list[Pair]


class TextGenerationUpdate(Described):
    """A change of a generation."""

    title: Annotated[str, Field(max_length=MAX_TITLE)] | None = None
    """Null removes the title; nothing changes without this field."""


GENERATION = {200: Answer(description="The generation.", model=TextGenerationRead)}
SECTION = Section(
    TAG,
    "Text generations of an app, as AI Planet's GenAI Stack makes them. An app is the flow that the"
    " key is bound to.",
    (
        Operation(
            name="get_stack_app",
            route="GET /api/v1/apps",
            tag=TAG,
            summary="Read the key's app",
            answers={200: Answer(description="The app.", model=StackApp)}
            | errors(FastApiError, 401, 403, 404, 413, 503),
            keys=KEYS,
        ),
        Operation(
            name="create_text_generation",
            route="POST /api/v1/generations",
            tag=TAG,
            summary="Submit a form to the app",
            description="The fields are the app's `form_keys_data`, sent by their names or as pairs"
            " of `input_key` and `input_value`, repeated in order. Files go into a multipart form;"
            " a file's bytes decide its type, not its name.",
            parameters=(IDEMPOTENCY_KEY, DEADLINE),
            body=Body(models={MULTIPART: PlainForm, FORM: PlainForm, JSON: JsonForm}),
            answers=GENERATION
            | errors(FastApiError, 400, 401, 403, 404, 409, 413, 422, 429, 503, s409=DELETED),
            keys=KEYS,
        ),
        Operation(
            name="list_text_generations",
            route="GET /api/v1/generations",
            tag=TAG,
            summary="List the app's generations",
            description="Newest first, from all APIs.",
            parameters=page_parameters("generations", PAGE),
            answers={
                200: Answer(
                    description="A page of generations.",
                    model=list[TextGenerationRead],
                    headers=NEXT,
                )
            }
            | errors(FastApiError, 400, 401, 403, 404, 413, 503),
            keys=KEYS,
        ),
        Operation(
            name="get_text_generation",
            route="GET /api/v1/generations/{text_gen_id}",
            tag=TAG,
            summary="Read a generation of the app",
            parameters=(ID,),
            answers=GENERATION | errors(FastApiError, 400, 401, 403, 404, 413, 503),
            keys=KEYS,
        ),
        Operation(
            name="update_text_generation",
            route="PATCH /api/v1/generations/{text_gen_id}",
            tag=TAG,
            summary="Give a generation a title",
            parameters=(ID,),
            body=json_body(TextGenerationUpdate),
            answers=GENERATION | errors(FastApiError, 400, 401, 403, 404, 413, 422, 503),
            keys=KEYS,
        ),
    ),
)
