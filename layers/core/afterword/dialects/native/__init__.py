"""The native API: what all its endpoints share.

The key comes as `Authorization: Bearer`, a body is one JSON object without unknown members, and
errors are problem documents (RFC 9457). What cannot be read is 400, what can be read and does not
fit is 422 and names the members.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from http import HTTPStatus

from afterword.errors import AfterwordError, ForbiddenError, KeyReusedError, UnprocessableError
from afterword.handlers.http import STATUSES, Request, Response, bearer_token
from afterword.limits import Allowance, LimitedError
from afterword.runtime.json_text import JsonObject, parse_object
from afterword.tenants.keys import ApiKey

NAME = "native"
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
"""The types of problems that their status does not tell apart, with their titles."""

type Json = dict[str, object]


def api_key(request: Request) -> str | None:
    """Return the key of `Authorization: Bearer`."""
    return bearer_token(request)


def error(error: AfterwordError) -> Response:
    """Return an error as a problem document."""
    status = STATUSES[type(error)]
    kind, title = _KINDS.get(type(error), ("about:blank", status.phrase))
    problem: Json = {"type": kind, "title": title, "status": int(status), "detail": str(error)}
    if isinstance(error, UnprocessableError):
        fields = ((error.field, error.message), *error.more)
        problem["errors"] = [{"field": field, "message": message} for field, message in fields]
    headers = {"content-type": "application/problem+json"}
    if isinstance(error, LimitedError) and error.allowances:
        problem["violated-policies"] = [each.name for each in error.allowances if not each.left]
        headers |= rate_limit(error.allowances)
    return answer(status, problem, headers)


def rate_limit(allowances: Iterable[Allowance]) -> Mapping[str, str]:
    """Return the headers RateLimit-Policy and RateLimit, none where there is nothing to say.

    They are those of draft-ietf-httpapi-ratelimit-headers-10.
    """
    policies, limits = [], []
    for each in allowances:
        unit = None if each.unit is None else f'"{each.unit}"'
        policies.append(_item(each.name, q=each.limit, w=each.window, qu=unit))
        limits.append(_item(each.name, r=each.left, t=each.resets))
    if not policies:
        return {}
    return {"ratelimit-policy": ", ".join(policies), "ratelimit": ", ".join(limits)}


def _item(name: str, **parameters: int | str | None) -> str:
    """Return an item of a structured field (RFC 9651) with the parameters that there are."""
    given = (f";{key}={value}" for key, value in parameters.items() if value is not None)
    return f'"{name}"{"".join(given)}'


def answer(status: HTTPStatus, body: object, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer whose body is the JSON of a value."""
    return Response(
        status=status, body=json.dumps(body, ensure_ascii=False), headers=dict(headers or {})
    )


def whole_tenant(key: ApiKey) -> None:
    """Raise ForbiddenError if the key is for one flow alone."""
    if key.flow is not None:
        raise ForbiddenError("The API key is for one flow alone.")


def sent(request: Request, known: Collection[str]) -> JsonObject:
    """Return the body's object. Raises like `parse_object`, and for members that are not known."""
    body = parse_object(request.body)
    check_members("", body.values, known)
    return body


def check_members(within: str, values: Mapping[str, object], known: Collection[str]) -> None:
    """Raise UnprocessableError for the first member that is not known, and name those that are."""
    for name in values:
        if name not in known:
            there = ", ".join(sorted(known))
            field = _shown(f"{within}.{name}".lstrip("."))
            raise UnprocessableError(field, f"there is no such member; there are: {there}.")


def member(values: Mapping[str, object], name: str, within: str = "") -> Mapping[str, object]:
    """Return a member that is an object; an empty one if it is absent or null."""
    value = values.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UnprocessableError(f"{within}.{name}".lstrip("."), "it must be a JSON object.")
    return value


def text(values: Mapping[str, object], name: str, most: int) -> str | None:
    """Return a member that is a text of 1 to `most` characters; None if it is absent or null."""
    value = values.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 1 <= len(value) <= most or not value.strip():
        raise UnprocessableError(name, f"it must be a text of 1 to {most} characters.")
    return value


def required_text(values: Mapping[str, object], name: str, most: int) -> str:
    """Return a member that is a text of 1 to `most` characters, and must be there."""
    value = text(values, name, most)
    if value is None:
        raise UnprocessableError(name, "it is missing.")
    return value


def whole_number(values: Mapping[str, object], name: str, least: int, most: int) -> int | None:
    """Return a member that is a whole number; None if it is absent or null."""
    value = values.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise UnprocessableError(name, f"it must be a whole number from {least} to {most}.")
    return value


def _shown(name: str) -> str:
    """Return a caller's name for a member as a message may show it."""
    return name if len(name) <= 100 and name.isprintable() else "A member"  # noqa: PLR2004
