"""API keys: `/v1/keys`."""

from typing import Annotated

from pydantic import Field
from pydantic.experimental.missing_sentinel import MISSING

from afterword.dialects.native.keys import MAX_LABEL, MAX_PAGE
from afterword.dialects.native.responses.keys import CreatedKey, KeyList
from afterword.tenants.keys import Scope
from openapi.operations import (
    NEXT,
    Answer,
    Operation,
    Section,
    Strict,
    json_body,
    page_parameters,
    path,
)
from openapi.problem import problems

TAG = "Keys"
KEYS = ("bearer", "apiKey")


class NewKey(Strict):
    """A new key."""

    scopes: Annotated[list[Scope], Field(min_length=1)] | MISSING = MISSING
    """To submit and read, without this member."""
    label: Annotated[str, Field(min_length=1, max_length=MAX_LABEL)] | None = None
    """The purpose of the key."""
    flow: Annotated[str, Field(min_length=1, max_length=MAX_LABEL)] | None = None
    """The one flow of the key; all flows without this member."""


SECTION = Section(
    TAG,
    "The credentials of a tenant's programs. Takes a key with the scope `admin` that is bound to no"
    " flow.",
    (
        Operation(
            name="list_keys",
            route="GET /v1/keys",
            tag=TAG,
            summary="List the keys",
            description="Live and revoked, oldest first.",
            parameters=page_parameters("keys", MAX_PAGE, "cursor"),
            answers={200: Answer(description="A page of keys.", model=KeyList, headers=NEXT)}
            | problems(400, 401, 403, 413, 503),
            keys=KEYS,
        ),
        Operation(
            name="create_key",
            route="POST /v1/keys",
            tag=TAG,
            summary="Create a key",
            body=json_body(NewKey),
            answers={201: Answer(description="The key, shown once.", model=CreatedKey)}
            | problems(
                *(400, 401, 403, 409, 413, 422, 503),
                s409="The tenant has a thousand live keys: revoke one first.",
            ),
            keys=KEYS,
        ),
        Operation(
            name="revoke_key",
            route="DELETE /v1/keys/{keyId}",
            tag=TAG,
            summary="Revoke a key for good",
            description="The key may still work for up to 60 seconds.",
            parameters=(
                path(
                    "keyId",
                    "The key's id, which is in the key.",
                    Annotated[str, Field(pattern="^[A-Za-z0-9]{12}$")],
                ),
            ),
            answers={204: Answer(description="The key is revoked.")}
            | problems(401, 403, 404, 413, 503),
            keys=KEYS,
        ),
    ),
)
