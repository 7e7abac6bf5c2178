"""The common part of HTTP handlers: events as requests, authentication, errors as responses."""

import base64
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import field, replace
from datetime import timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from afterword.errors import (
    AfterwordError,
    ConflictError,
    ForbiddenError,
    GoneError,
    InvalidRequestError,
    KeyReusedError,
    NotFoundError,
    TooLargeError,
    UnauthenticatedError,
    UnavailableError,
    UnprocessableError,
    UnsupportedCodingError,
    WrongMethodError,
)
from afterword.generations import MAX_DEADLINE, MIN_DEADLINE
from afterword.handlers import (
    SECURITY_HEADERS,
    Event,
    LambdaContext,
    LambdaHandler,
    content_coding,
)
from afterword.limits import LimitedError
from afterword.records import dataclass
from afterword.runtime import cold_start, telemetry
from afterword.services import services
from afterword.tenants.keys import ApiKey, Scope

MAX_BODY_BYTES = 6_000_000
"""The maximum of a body; Lambda's own limit is 6 MB for the event with the body in it."""

STATUSES: Mapping[type[AfterwordError], HTTPStatus] = {
    InvalidRequestError: HTTPStatus.BAD_REQUEST,
    UnauthenticatedError: HTTPStatus.UNAUTHORIZED,
    ForbiddenError: HTTPStatus.FORBIDDEN,
    NotFoundError: HTTPStatus.NOT_FOUND,
    WrongMethodError: HTTPStatus.METHOD_NOT_ALLOWED,
    GoneError: HTTPStatus.GONE,
    ConflictError: HTTPStatus.CONFLICT,
    KeyReusedError: HTTPStatus.UNPROCESSABLE_CONTENT,
    UnprocessableError: HTTPStatus.UNPROCESSABLE_CONTENT,
    LimitedError: HTTPStatus.TOO_MANY_REQUESTS,
    TooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UnsupportedCodingError: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    UnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""The status of each domain error, where a dialect has no other."""

_IDEMPOTENCY_KEY = re.compile(r"[!-~]{1,255}")
_SECONDS = re.compile(r"[0-9]{1,6}")
_HEADERS = {
    "content-type": "application/json",
    "cache-control": "no-store",
    **SECURITY_HEADERS,
}
_ERROR_HEADERS: Mapping[HTTPStatus, Mapping[str, str]] = {
    HTTPStatus.UNAUTHORIZED: {"www-authenticate": "Bearer"},
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: {"accept-encoding": content_coding.ACCEPTED},
    HTTPStatus.SERVICE_UNAVAILABLE: {"retry-after": "1"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An HTTP request, with header names in lower case, and the body's bytes.

    The body is unpacked, and without a byte order mark. `fault` says why it cannot be read.
    """

    path: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    fault: UnsupportedCodingError | TooLargeError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An HTTP response whose body is JSON, given as text, unless `headers` has another type."""

    status: HTTPStatus
    body: str
    headers: Mapping[str, str] = field(default_factory=dict)


type Endpoint = Callable[[Request, ApiKey], Response]
"""A function of a request and its API key."""


class KeyPlace(StrEnum):
    """A place where a dialect may read the API key, in the words of a message."""

    BEARER = "Authorization: Bearer"
    X_API_KEY = "x-api-key"
    TOKEN = "the parameter token"  # noqa: S105 - words for a place # nosec B105

    def read(self, request: Request) -> str | None:
        """Return the text that stands there, None without one."""
        match self:
            case KeyPlace.BEARER:
                return request.headers.get("authorization")
            case KeyPlace.X_API_KEY:
                return request.headers.get("x-api-key")
            case KeyPlace.TOKEN:
                return request.query.get("token")

    def read_key(self, request: Request) -> str | None:
        """Return the key that stands there, None without one, or with an empty one."""
        if self is KeyPlace.BEARER:
            return read_bearer_token(request) or None
        return self.read(request) or None


class Dialect(Protocol):
    """A handler's view of its dialect; each package of afterword.dialects is one."""

    KEY_PLACES: Sequence[KeyPlace]
    """The headers and parameters of the API key, in the order of messages."""

    def read_api_key(self, request: Request, /) -> str | None:
        """Return the request's API key, from the dialect's places for it; None without one.

        Raises UnauthenticatedError for two keys that differ.
        """
        ...

    def render_error(self, error: AfterwordError, /) -> Response:
        """Return the dialect's response for an error."""
        ...


def endpoint(
    dialect: Dialect, *scopes: Scope, submits: bool = False, counts_key: bool = False
) -> Callable[[Endpoint], LambdaHandler]:
    """Return a decorator that makes an endpoint a Lambda handler, open to keys with the scopes.

    A change of an existing generation takes two: a key that may not read acts on its own alone.
    The handler authenticates first. Requests count against their tenant's limit of reads, but not
    those that an endpoint which `submits` has accepted: such an endpoint raises its refusals.
    Requests to such an endpoint, or to one that `counts_key`, count under the limit of their key.
    Domain errors, and failed calls of AWS, become responses in the dialect's shape. Any other
    exception is a bug: Lambda counts the error, and API Gateway answers 500 without a detail.
    """

    def decorate(serve: Endpoint) -> LambdaHandler:
        serve = _count_by_key(serve) if submits or counts_key else serve

        def handler(event: Event, context: LambdaContext) -> dict[str, Any]:
            log = telemetry.logger()
            with log.append_context_keys(request_id=context.aws_request_id):
                try:
                    response = _serve(event, dialect, scopes, serve, submits=submits)
                except AfterwordError as error:
                    response = _refusal(dialect, error)
                    log.info(
                        "refused a request", extra={"status": response.status, "why": _why(error)}
                    )
                except (BotoCoreError, ClientError):
                    log.exception("could not reach AWS")
                    response = dialect.render_error(UnavailableError("Try again in a moment."))
                return build_result(response)

        cold_start.end(lambda: services().prepare(submits=submits))
        return handler

    return decorate


def _count_by_key(serve: Endpoint) -> Endpoint:
    """Return an endpoint that counts its requests under the limit of their key, if it has one."""

    def count_and_serve(request: Request, api_key: ApiKey) -> Response:
        if api_key.requests_per_minute is not None:
            meter = services().request_meter
            meter.count_key(api_key.tenant, api_key.id, api_key.requests_per_minute)
        return serve(request, api_key)

    return count_and_serve


def _serve(
    event: Event, dialect: Dialect, scopes: Collection[Scope], serve: Endpoint, *, submits: bool
) -> Response:
    """Answer a request under its tenant's limit of reads, if there is one."""
    request = _request(event)
    api_key = services().authenticator.authenticate(_require_key(dialect, request))
    tenant, limit = api_key.tenant, api_key.reads_per_minute
    if limit is None:
        return _answer(request, api_key, scopes, serve)
    reads = services().reads
    reads.check(tenant, limit)
    try:
        response = _answer(request, api_key, scopes, serve)
    except AfterwordError:
        reads.count(tenant, limit)
        raise
    if not submits:
        reads.count(tenant, limit)
    return response


def _require_key(dialect: Dialect, request: Request) -> str:
    """Return the request's API key; raise UnauthenticatedError with the fault of what was sent.

    No message has a part of what was sent, which may be a key.
    """
    key = dialect.read_api_key(request)
    if not key and request.fault is not None:
        raise request.fault  # the key may be in the body
    if not key:
        raise UnauthenticatedError(_explain_missing_key(request, dialect.KEY_PLACES))
    if key.lower().startswith("bearer "):
        raise UnauthenticatedError("The API key must stand alone, without a 'Bearer' of its own.")
    return key


def _explain_missing_key(request: Request, places: Sequence[KeyPlace]) -> str:
    for place in places:
        text = place.read(request)
        if text is None:
            continue
        if place is KeyPlace.BEARER:
            return _explain_authorization(text.split(maxsplit=1))
        return f"The API key must not be empty in {place}."
    for place in KeyPlace:
        if place not in places and place.read(request):
            return f"The API key must be in {' or '.join(places)}, not in {place}."
    return "An API key is needed."


def _explain_authorization(words: Sequence[str]) -> str:
    """Return the fault of the words of an `Authorization` without a key of use."""
    match words:
        case []:
            return "Authorization: must be 'Bearer' and the API key, not empty."
        case [scheme] if scheme.lower() == "bearer":
            return "Authorization: must have the API key after 'Bearer'."
        case [_]:
            return "Authorization: must have 'Bearer' before the API key."
        case _:
            return "Authorization: must have the scheme 'Bearer', not another one."


def _answer(
    request: Request, api_key: ApiKey, scopes: Collection[Scope], serve: Endpoint
) -> Response:
    for scope in scopes:
        api_key.require(scope)
    if request.fault is not None:
        raise request.fault
    if len(request.body) > MAX_BODY_BYTES:
        raise TooLargeError(
            f"The body must have at most {MAX_BODY_BYTES} bytes, not {len(request.body)}."
        )
    return serve(request, api_key)


def _request(event: Event) -> Request:
    """Read an API Gateway event of payload format 2.0."""
    text = event.get("body") or ""
    # API Gateway decodes a body of UTF-8 to text; another body comes as base64.
    encoded = event.get("isBase64Encoded")
    body = base64.b64decode(text) if encoded else text.encode("utf-8", "surrogatepass")
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    fault = None
    try:
        body = content_coding.unpack(headers.get("content-encoding", ""), body, MAX_BODY_BYTES)
    except (UnsupportedCodingError, TooLargeError) as error:
        body, fault = b"", error
    return Request(
        path=event.get("pathParameters") or {},
        query=event.get("queryStringParameters") or {},
        headers=headers,
        body=body,
        fault=fault,
    )


def _why(error: AfterwordError) -> str:
    """Return the cause for the log, without messages that may repeat names of the caller's."""
    is_loggable = not isinstance(error, InvalidRequestError | UnprocessableError)
    return str(error) if is_loggable else type(error).__name__


def _refusal(dialect: Dialect, error: AfterwordError) -> Response:
    response = dialect.render_error(error)
    if not isinstance(error, LimitedError):
        return response
    headers = {**response.headers, "retry-after": str(error.retry_after)}
    return replace(response, headers=headers)


def build_result(response: Response) -> dict[str, Any]:
    """Return a response as Lambda's result, with the headers of all answers."""
    headers = {**_HEADERS, **_ERROR_HEADERS.get(response.status, {}), **response.headers}
    if not response.body:
        del headers["content-type"]
    return {"statusCode": int(response.status), "headers": headers, "body": response.body}


def read_header_key(request: Request, places: Iterable[KeyPlace]) -> str | None:
    """Return the API key of the places; None without one.

    Raises UnauthenticatedError for two keys that differ: none of them is tried.
    """
    keys = {place: key for place in places if (key := place.read_key(request))}
    if len(set(keys.values())) > 1:
        raise UnauthenticatedError(f"The API key must be the same in {' and '.join(keys)}.")
    return next(iter(keys.values()), None)


def read_bearer_token(request: Request) -> str | None:
    """Return the credential of an `Authorization: Bearer` header (RFC 6750, section 2.1)."""
    scheme, _, token = request.headers.get("authorization", "").strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def read_idempotency_key(request: Request) -> str | None:
    """Return the request's `Idempotency-Key`, None without one.

    Raises InvalidRequestError unless the key is 1 to 255 visible ASCII characters. Quotes, which
    draft-ietf-httpapi-idempotency-key-header has, are part of the key: few clients send quotes, and
    no client sends both forms of one key.
    """
    key = request.headers.get("idempotency-key")
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise InvalidRequestError("Idempotency-Key: must be 1 to 255 visible ASCII characters.")
    return key


def read_deadline(
    request: Request, least: timedelta = MIN_DEADLINE, most: timedelta = MAX_DEADLINE
) -> timedelta | None:
    """Return the request's `Afterword-Deadline`, the seconds after which its text is of no use.

    None without the header. Raises InvalidRequestError unless it is a whole number within the
    bounds. None of the dialects' services has a field for it.
    """
    text = request.headers.get("afterword-deadline")
    if text is None:
        return None
    if _SECONDS.fullmatch(text):
        sent = timedelta(seconds=int(text))
        if least <= sent <= most:
            return sent
    shortest, longest = (int(bound.total_seconds()) for bound in (least, most))
    raise InvalidRequestError(
        f"Afterword-Deadline: must be a whole number of seconds from {shortest} to {longest}."
    )


def require_access(flow: str | None, allowed: str | None, kind: str = "generation") -> None:
    """Raise NotFoundError for a record of another flow than the allowed one; None allows all.

    The message is that of an absent record.
    """
    if allowed not in {None, flow}:
        raise NotFoundError(f"There is no such {kind}.")


def require_whole_tenant(key: ApiKey) -> None:
    """Raise ForbiddenError if the key is bound to a flow."""
    if key.flow is not None:
        raise ForbiddenError("The API key is for one flow alone.")
