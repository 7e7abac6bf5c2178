"""The native API: the key, bodies and errors of all its endpoints.

The key comes as `Authorization: Bearer` or `x-api-key`, a body is one JSON object without unknown
members, and errors are problem documents (RFC 9457). A body that cannot be read is 400. A body that
does not fit is 422, with all its members that do not, up to MAX_WRONG_FIELDS.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from afterword.errors import AfterwordError, KeyReusedError, UnprocessableError, WrongFields
from afterword.handlers import http, paging
from afterword.handlers.http import STATUSES, KeyPlace, Request, Response
from afterword.handlers.json_members import check_members
from afterword.handlers.paging import Paging
from afterword.limits import Allowance, LimitedError
from afterword.runtime.json_text import JsonObject, parse_object, render

if TYPE_CHECKING:
    from afterword.dialects.native.responses import NextPage, Problem

NAME = "native"
PATHS: Sequence[str] = ()
"""The native API has the paths that are no other dialect's."""
KEY_PLACES: Sequence[KeyPlace] = (KeyPlace.BEARER, KeyPlace.X_API_KEY)
_KINDS: Mapping[type[AfterwordError], tuple[str, str]] = {
    UnprocessableError: (
        "urn:problem-type:afterword:invalid-member",
        "A member of the request does not fit",
    ),
    KeyReusedError: (
        "urn:problem-type:afterword:idempotency-key-reused",
        "The Idempotency-Key stands for another request",
    ),
    LimitedError: (
        "https://iana.org/assignments/http-problem-types#quota-exceeded",
        "A limit of the tenant is reached",
    ),
}
"""The types and titles of problems that share their status with others."""


def read_api_key(request: Request) -> str | None:
    """Return the key of a header; raise UnauthenticatedError for two that differ."""
    return http.read_header_key(request, KEY_PLACES)


def render_error(error: AfterwordError) -> Response:
    """Return an error as a problem document."""
    status = STATUSES[type(error)]
    kind, title = _KINDS.get(type(error), ("about:blank", status.phrase))
    problem: Problem = {
        "type": kind,
        "title": title,
        "status": int(status),
        "detail": str(error),
    }
    if isinstance(error, UnprocessableError):
        problem["errors"] = [
            {"field": field, "message": message} for field, message in error.fields
        ]
    headers = {"content-type": "application/problem+json"}
    if isinstance(error, LimitedError) and error.allowances:
        problem["violated-policies"] = [each.name for each in error.allowances if not each.left]
        headers |= render_rate_limit(error.allowances)
    return render_response(status, problem, headers)


def render_rate_limit(allowances: Iterable[Allowance]) -> Mapping[str, str]:
    """Return the headers RateLimit-Policy and RateLimit; none without an allowance.

    The headers follow draft-ietf-httpapi-ratelimit-headers-10.
    """
    policies, limits = [], []
    for each in allowances:
        unit = None if each.unit is None else f'"{each.unit}"'
        policies.append(_render_item(each.name, q=each.limit, w=each.window, qu=unit))
        limits.append(_render_item(each.name, r=each.left, t=each.resets))
    if not policies:
        return {}
    return {"ratelimit-policy": ", ".join(policies), "ratelimit": ", ".join(limits)}


def _render_item(name: str, **parameters: int | str | None) -> str:
    """Return an item of a structured field (RFC 9651) with the parameters that are not None."""
    given = (f";{key}={value}" for key, value in parameters.items() if value is not None)
    return f'"{name}"{"".join(given)}'


def render_response(
    status: HTTPStatus, body: Mapping[str, object], headers: Mapping[str, str] | None = None
) -> Response:
    """Return a response whose body is a JSON object."""
    return Response(status=status, body=render(body), headers=dict(headers or {}))


def build_next_page(
    of_list: Paging, path: str, query: Mapping[str, str | int], after: str | None
) -> "NextPage":
    """Return the members of a list with its next page, which begins after a sort key."""
    return {
        "next": of_list.next_path(path, query, after),
        "next_cursor": of_list.next_cursor(after),
    }


def render_page(body: "NextPage") -> Response:
    """Return a page of a list, with a link to the next one if there is one."""
    return render_response(HTTPStatus.OK, body, paging.link_headers(body["next"]))


def parse_members(request: Request, known: Collection[str], wrong: WrongFields) -> JsonObject:
    """Return the body's object, and note its unknown members. Raises like `parse_object`."""
    body = parse_object(request.body)
    wrong.read(partial(check_members, "", body.values, known))
    return body
