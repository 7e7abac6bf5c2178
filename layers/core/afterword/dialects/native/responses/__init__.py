"""The native API's responses, as openapi.yaml describes them; here those of errors."""

from typing import Annotated, NotRequired, TypedDict

from afterword.handlers.json_schema import Schema


class WrongMember(TypedDict):
    """A member of a request that does not fit."""

    field: str
    """The member's name, with the names of the objects around it."""
    message: str
    """A sentence."""


class NextPage(TypedDict):
    """The next page of a list, null on the last page."""

    next: str | None
    """The path of the next page, as in `Link`."""
    next_cursor: str | None
    """The cursor of the next page, as in that path."""


_Policies = TypedDict(
    "_Policies",
    {
        "violated-policies": NotRequired[
            Annotated[list[str], Schema(description="The names of the limits that are reached.")]
        ]
    },
)


class Problem(_Policies):
    """The reason of a refusal (RFC 9457)."""

    type: str
    """A URI of the kind of problem; `about:blank` where the status says it."""
    title: str
    """The kind of problem in words."""
    status: Annotated[int, Schema(minimum=400, maximum=599)]
    """The status of the response."""
    detail: str
    """A sentence on the problem of this request."""
    errors: NotRequired[Annotated[list[WrongMember], Schema(minItems=1, maxItems=100)]]
    """All members that do not fit, the first 100 of them; `detail` is on the first."""
