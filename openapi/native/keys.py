"""API keys: `/v1/keys`."""

from datetime import datetime
from typing import Annotated

from pydantic import Field
from pydantic.experimental.missing_sentinel import MISSING

from afterword.dialects.native.keys import MAX_LABEL
from afterword.tenants.keys import Scope
from openapi.operations import Answer, Described, Operation, Section, Strict, json_body, path
from openapi.problem import problems

TAG = "Keys"
KEYS = ("bearer",)


class NewKey(Strict):
    """A key that is to be created."""

    scopes: Annotated[list[Scope], Field(min_length=1)] | MISSING = MISSING
    """To submit and read, without it."""
    label: Annotated[str, Field(min_length=1, max_length=MAX_LABEL)] | None = None
    """What it is for."""
    flow: Annotated[str, Field(min_length=1, max_length=MAX_LABEL)] | None = None
    """The one flow that it is for; all without it."""


class Key(Described):
    """A key, without its secret."""

    id: str
    label: str
    scopes: list[Scope]
    flow: str | None
    """The one flow that it is for; null for all."""
    created_at: datetime
    revoked_at: datetime | None


class CreatedKey(Key):
    """A key as it is shown once."""

    key: str
    """What is sent from now on."""


class KeyList(Described):
    """All keys."""

    keys: list[Key]
    """Live and revoked, oldest first."""


SECTION = Section(
    TAG,
    "What a tenant's programs identify themselves with. Takes a key with the scope `admin` that is"
    " bound to no flow.",
    (
        Operation(
            name="list_keys",
            route="GET /v1/keys",
            tag=TAG,
            summary="List the keys",
            answers={200: Answer(description="The keys.", model=KeyList)}
            | problems(401, 403, 413, 503),
            keys=KEYS,
        ),
        Operation(
            name="create_key",
            route="POST /v1/keys",
            tag=TAG,
            summary="Create a key",
            body=json_body(NewKey),
            answers={201: Answer(description="The key, shown once.", model=CreatedKey)}
            | problems(400, 401, 403, 413, 422, 503),
            keys=KEYS,
        ),
        Operation(
            name="revoke_key",
            route="DELETE /v1/keys/{keyId}",
            tag=TAG,
            summary="Revoke a key for good",
            description="It may still be taken for up to 60 seconds.",
            parameters=(
                path(
                    "keyId",
                    "The key's id, which is in the key.",
                    Annotated[str, Field(pattern="^[A-Za-z0-9]{12}$")],
                ),
            ),
            answers={204: Answer(description="It is revoked.")} | problems(401, 403, 404, 413, 503),
            keys=KEYS,
        ),
    ),
)
