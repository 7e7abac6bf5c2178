"""Operations of the API, and the parts of the dialects' descriptions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from afterword.generations import MAX_DEADLINE, MIN_DEADLINE
from afterword.handlers.content_coding import ACCEPTED
from afterword.handlers.http import MAX_BODY_BYTES

JSON = "application/json"
FORM, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"


class Described(BaseModel):
    """A JSON object of a request; docstrings below its fields describe them.

    Unknown members are ignored.
    """

    model_config = ConfigDict(use_attribute_docstrings=True)


class Strict(Described):
    """A JSON object of a request, whose members are all known."""

    model_config = ConfigDict(extra="forbid")


type Model = Any
"""A type that pydantic can describe: a model, a TypedDict, or an annotation such as `list[…]`."""


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A parameter of a path, a query or a header."""

    name: str
    place: Literal["path", "query", "header"]
    model: Model
    description: str
    required: bool = False


@dataclass(frozen=True, kw_only=True)
class Body:
    """A request's body: a model for each media type."""

    models: Mapping[str, Model]
    required: bool = True


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A response. `headers` are descriptions by name; a model of None stands for no body."""

    description: str
    model: Model | None = None
    media_types: Sequence[str] = (JSON,)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Operation:
    """A method of a path. `name` is the function's folder; `keys` the schemes of the API key.

    `id` is the operationId where it is not the name: that of a function's second route.
    """

    name: str
    id: str = ""
    route: str
    tag: str
    summary: str
    description: str = ""
    parameters: Sequence[Parameter] = ()
    body: Body | None = None
    answers: Mapping[int, Answer]
    keys: Sequence[str] = ()

    @property
    def method(self) -> str:
        """The method in lower case, as in OpenAPI."""
        return self.route.partition(" ")[0].lower()

    @property
    def path(self) -> str:
        """The path, with parameters in braces."""
        return self.route.partition(" ")[2]


@dataclass(frozen=True)
class Section:
    """A section of the page: its tag, its description, and its operations in order."""

    tag: str
    description: str
    operations: Sequence[Operation]


def json_body(model: Model, *, required: bool = True) -> Body:
    """Return a body in JSON alone."""
    return Body(models={JSON: model}, required=required)


def path(name: str, description: str, model: Model = str) -> Parameter:
    """Return a parameter of the path."""
    return Parameter(name=name, place="path", model=model, description=description, required=True)


def query(name: str, description: str, model: Model = str, *, required: bool = False) -> Parameter:
    """Return a parameter of the query."""
    return Parameter(
        name=name, place="query", model=model, description=description, required=required
    )


def page_parameters(kind: str, maximum: int, cursor: str = "after") -> tuple[Parameter, Parameter]:
    """Return the parameters of a list's page: its limit and its cursor."""
    return (
        query("limit", f"The maximum number of {kind}.", Annotated[int, Field(ge=1, le=maximum)]),
        query(cursor, "The cursor of the page, from the `Link` of the page before."),
    )


def header(name: str, description: str, model: Model = str) -> Parameter:
    """Return a header, which may be left out."""
    return Parameter(name=name, place="header", model=model, description=description)


IDEMPOTENCY_KEY = header(
    "Idempotency-Key",
    "All submissions of one tenant with the same key are one generation. The same request gets the"
    " same answer, another request is 422.",
    Annotated[str, Field(pattern=r"^[!-~]{1,255}$", examples=["order-4711"])],
)
DEADLINE = header(
    "Afterword-Deadline",
    "The seconds until the deadline. Without this header the flow's deadline holds, or an hour.",
    Annotated[
        int,
        Field(ge=int(MIN_DEADLINE.total_seconds()), le=int(MAX_DEADLINE.total_seconds())),
    ],
)
DELETED = "The `Idempotency-Key` stands for a generation that was deleted."
RETRY_AFTER = {"Retry-After": "The seconds until the next try."}
NEXT = {"Link": 'Leads to the next page: `<…>; rel="next"`. The last page has none.'}

_WRONG: Mapping[int, str] = {
    400: "The request cannot be read; the message names the fault. Nothing is stored.",
    401: "The key is missing, misplaced, malformed, unknown or revoked; the message says which.",
    403: "The key does not allow this request.",
    404: "The resource is absent, or another tenant's: both look the same.",
    409: "The state of the resource does not allow this request.",
    410: "A text of the generation is gone from storage.",
    413: f"The body is larger than {MAX_BODY_BYTES:,} bytes, or would be when unpacked.",
    415: "The body's `Content-Encoding` is not `gzip`, or the body is no gzip stream.",
    422: "A field does not fit, and the message names the field; or the `Idempotency-Key` stands"
    " for another request. Nothing is stored.",
    429: "A limit of the tenant is reached. Nothing is stored.",
    503: "Storage cannot be reached.",
}
_HEADERS: Mapping[int, Mapping[str, str]] = {
    401: {"WWW-Authenticate": "`Bearer`"},
    415: {"Accept-Encoding": f"`{ACCEPTED}`"},
    429: RETRY_AFTER,
    503: RETRY_AFTER,
}


def errors(model: Model, *statuses: int, media_type: str = JSON, **said: str) -> dict[int, Answer]:
    """Return the answers of these error statuses; `said` are descriptions as `s404="…"`.

    A request that needs a key may be over its tenant's limit of reads. A body that may be too
    large may have a content coding.
    """
    limited = [429] if HTTPStatus.UNAUTHORIZED in statuses else []
    coded = [415] if HTTPStatus.REQUEST_ENTITY_TOO_LARGE in statuses else []
    return {
        status: Answer(
            description=said.get(f"s{status}") or _WRONG.get(status) or HTTPStatus(status).phrase,
            model=model,
            media_types=(media_type,),
            headers=_HEADERS.get(status, {}),
        )
        for status in sorted({*statuses, *limited, *coded})
    }
