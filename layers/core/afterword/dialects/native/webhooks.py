"""Webhook endpoints and their deliveries, as the native API takes and shows them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from http import HTTPStatus
from urllib.parse import urlencode

from afterword.dialects import native
from afterword.errors import InvalidRequestError, UnprocessableError
from afterword.handlers.http import Request, Response
from afterword.runtime.outbound import MAX_URL
from afterword.runtime.pages import Page
from afterword.tenants.keys import ApiKey
from afterword.webhooks import (
    MAX_LABEL,
    SUBSCRIBABLE_EVENTS,
    Change,
    Delivery,
    Endpoint,
    Event,
    is_delivery_id,
    rfc3339,
)
from afterword.webhooks.endpoints import WebhookEndpoints

PAGE = 20
MAX_PAGE = 100
_MAX_DIGITS = 3


def tenant(key: ApiKey) -> str:
    """Return the tenant of a key; raise ForbiddenError for a key that is for one flow alone."""
    native.whole_tenant(key)
    return key.tenant


def create(request: Request, key: ApiKey, endpoints: WebhookEndpoints) -> Response:
    """Create the endpoint that is asked for, and return it with its secret."""
    owner = tenant(key)
    values = native.sent(request, ("url", "label", "events")).values
    url = native.required_text(values, "url", MAX_URL)
    label, events = _label(values) or "", _events(values) or SUBSCRIBABLE_EVENTS
    endpoint, secret = endpoints.create(owner, url, label, events)
    headers = {"location": f"/v1/webhooks/{endpoint.id}"}
    return native.answer(
        HTTPStatus.CREATED, {**endpoint_shown(endpoint), "secret": secret}, headers
    )


def change(request: Request) -> Change:
    """Return what a request changes of an endpoint; what it leaves out stays."""
    values = native.sent(request, ("url", "label", "events", "enabled")).values
    for name, value in values.items():
        if value is None:
            raise UnprocessableError(name, "it cannot be null; leave it out to keep it.")
    enabled = values.get("enabled")
    if enabled is not None and not isinstance(enabled, bool):
        raise UnprocessableError("enabled", "it must be true or false.")
    return Change(
        url=native.text(values, "url", MAX_URL),
        label=_label(values),
        events=_events(values),
        enabled=enabled,
    )


def rotated(endpoint: Endpoint, secret: str) -> Response:
    """Return an endpoint with its new secret."""
    return native.answer(HTTPStatus.OK, {**endpoint_shown(endpoint), "secret": secret})


def shown(endpoint: Endpoint) -> Response:
    """Return an endpoint, without its secret."""
    return native.answer(HTTPStatus.OK, endpoint_shown(endpoint))


def listed(endpoints: Sequence[Endpoint]) -> Response:
    """Return a tenant's endpoints."""
    return native.answer(HTTPStatus.OK, {"webhooks": [endpoint_shown(each) for each in endpoints]})


def removed() -> Response:
    """Return that there is nothing there any more."""
    return Response(status=HTTPStatus.NO_CONTENT, body="")


def begun(delivery: Delivery) -> Response:
    """Return a delivery that will be tried."""
    return native.answer(HTTPStatus.ACCEPTED, delivery_shown(delivery))


def page_asked_for(request: Request) -> tuple[int, str | None]:
    """Return the query's `limit` and the delivery that the page comes after."""
    text = request.query.get("limit", str(PAGE))
    readable = text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS
    if not readable or not 1 <= int(text) <= MAX_PAGE:
        raise InvalidRequestError(f"limit: it is not a whole number from 1 to {MAX_PAGE}.")
    after = request.query.get("after")
    if after is not None and not is_delivery_id(after):
        raise InvalidRequestError("after: it is none of the API's; follow the Link header.")
    return int(text), after


def deliveries(endpoint_id: str, page: Page[Delivery], limit: int) -> Response:
    """Return a page of an endpoint's log, with a link to the next one if there is one."""
    body: native.Json = {"deliveries": [delivery_shown(each) for each in page.items]}
    if page.after is None:
        return native.answer(HTTPStatus.OK, body)
    query = urlencode({"limit": limit, "after": page.after})
    link = f'</v1/webhooks/{endpoint_id}/deliveries?{query}>; rel="next"'
    return native.answer(HTTPStatus.OK, body, {"link": link})


def _label(values: Mapping[str, object]) -> str | None:
    label = values.get("label")
    if label is None:
        return None
    if not isinstance(label, str) or len(label) > MAX_LABEL:
        raise UnprocessableError("label", f"it must be a text of up to {MAX_LABEL} characters.")
    return label


def _events(values: Mapping[str, object]) -> tuple[Event, ...] | None:
    value = values.get("events")
    if value is None:
        return None
    there = [event.value for event in SUBSCRIBABLE_EVENTS]
    if (
        not isinstance(value, list)
        or not value
        or not all(isinstance(each, str) and each in there for each in value)
    ):
        raise UnprocessableError(
            "events", f"it must be a list of one or more of: {', '.join(there)}."
        )
    return tuple(dict.fromkeys(Event(each) for each in value))


def endpoint_shown(endpoint: Endpoint) -> native.Json:
    """Return an endpoint as its owner sees it, without its secret."""
    return {
        "id": endpoint.id,
        "url": endpoint.url,
        "label": endpoint.label,
        "events": list(endpoint.events),
        "enabled": endpoint.enabled,
        "created_at": rfc3339(endpoint.created_at),
        "failing_since": endpoint.failing_since and rfc3339(endpoint.failing_since),
        "disabled_at": endpoint.disabled_at and rfc3339(endpoint.disabled_at),
        "disabled_reason": endpoint.disabled_reason,
    }


def delivery_shown(delivery: Delivery) -> native.Json:
    """Return a delivery as its owner sees it."""
    return {
        "id": delivery.id,
        "event": delivery.event,
        "generation": delivery.generation,
        "url": delivery.url,
        "status": delivery.status,
        "created_at": rfc3339(delivery.created_at),
        "next_at": delivery.next_at and rfc3339(delivery.next_at),
        "tries": [{**asdict(tried), "at": rfc3339(tried.at)} for tried in delivery.tries],
        "body": delivery.body,
    }
