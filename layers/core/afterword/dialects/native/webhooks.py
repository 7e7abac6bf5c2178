"""Webhook endpoints and their deliveries in the native API."""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from afterword import clock
from afterword.dialects import native
from afterword.errors import UnprocessableError, WrongFields
from afterword.handlers import http
from afterword.handlers.http import Request, Response
from afterword.handlers.json_members import (
    parse_choices,
    read_text,
    require_text,
    require_time,
)
from afterword.handlers.paging import Paging
from afterword.runtime.addresses import MAX_URL
from afterword.runtime.pages import Page, cut_page
from afterword.tenants.keys import ApiKey
from afterword.webhooks import (
    MAX_LABEL,
    SUBSCRIBABLE_EVENTS,
    Change,
    Circuit,
    CircuitState,
    Delivery,
    Endpoint,
    Event,
    is_delivery_id,
)
from afterword.webhooks.endpoints import WebhookEndpoints

if TYPE_CHECKING:
    from afterword.dialects.native.responses import webhooks as responses
    from afterword.webhooks.replays import WebhookReplays

MAX_PAGE = 100
_MAX_CURSOR = 40
_CHANGEABLE = ("url", "label", "events", "enabled")
_ENDPOINTS = Paging(
    size=MAX_PAGE, maximum=MAX_PAGE, cursor="cursor", key=re.compile("[0-9]{13}#[a-z0-9_]{1,40}")
)
_PAGING = Paging(size=20, maximum=MAX_PAGE, key=re.compile(r"msg_[0-9a-f-]{36}"))


def require_tenant(key: ApiKey) -> str:
    """Return the tenant of a key; raise ForbiddenError for a key that is bound to a flow."""
    http.require_whole_tenant(key)
    return key.tenant


def create(request: Request, key: ApiKey, endpoints: WebhookEndpoints) -> Response:
    """Create an endpoint, and return it with its secret."""
    tenant = require_tenant(key)
    wrong = WrongFields()
    values = native.parse_members(request, ("url", "label", "events"), wrong).values
    url = wrong.read(partial(require_text, values, "url", MAX_URL)) or ""
    label = wrong.read(partial(_parse_label, values))
    events = wrong.read(partial(_parse_events, values))
    wrong.refuse()
    endpoint, secret = endpoints.create(tenant, url, label or "", events or SUBSCRIBABLE_EVENTS)
    headers = {"location": f"/v1/webhooks/{endpoint.id}"}
    return native.render_response(HTTPStatus.CREATED, _build_secret(endpoint, secret), headers)


def parse_change(request: Request) -> Change:
    """Parse a change of an endpoint; members that are left out stay."""
    wrong = WrongFields()
    values = native.parse_members(request, _CHANGEABLE, wrong).values
    empty = [name for name in _CHANGEABLE if name in values and values[name] is None]
    message = "must not be null; without this member the value stays."
    wrong.note((name, message) for name in empty)
    change = Change(
        url=wrong.read(partial(read_text, values, "url", MAX_URL)),
        label=wrong.read(partial(_parse_label, values)),
        events=wrong.read(partial(_parse_events, values)),
        enabled=wrong.read(partial(_parse_enabled, values)),
    )
    wrong.refuse()
    return change


def replay(request: Request, key: ApiKey, replays: "WebhookReplays") -> Response:
    """Begin the failed deliveries of one page anew, and say where the next page begins."""
    tenant, endpoint_id = require_tenant(key), request.path["webhookId"]
    wrong = WrongFields()
    values = native.parse_members(request, ("since", "after"), wrong).values
    since = wrong.read(partial(require_time, values, "since"))
    after = wrong.read(partial(_parse_after, values))
    if since is None:
        raise wrong.error()
    wrong.refuse()
    number, last = replays.replay(tenant, endpoint_id, since, after)
    body: responses.Replay = {"replayed": number, "after": last}
    return native.render_response(HTTPStatus.ACCEPTED, body)


def render_rotated(endpoint: Endpoint, secret: str) -> Response:
    """Return an endpoint with its new secret."""
    return native.render_response(HTTPStatus.OK, _build_secret(endpoint, secret))


def render_webhook(endpoint: Endpoint) -> Response:
    """Return an endpoint, without its secret."""
    return native.render_response(HTTPStatus.OK, build_webhook(endpoint))


def render_webhooks(request: Request, endpoints: Sequence[Endpoint]) -> Response:
    """Return a page of a tenant's endpoints, oldest first."""
    limit, after = _ENDPOINTS.parse(request.query)
    page = cut_page(
        endpoints, lambda each: f"{clock.to_millis(each.created_at):013d}#{each.id}", limit, after
    )
    body: responses.WebhookList = {
        "webhooks": [build_webhook(each) for each in page.items],
        **native.build_next_page(_ENDPOINTS, "/v1/webhooks", {"limit": limit}, page.after),
    }
    return native.render_page(body)


def render_removed() -> Response:
    """Return the empty response of a removal."""
    return Response(status=HTTPStatus.NO_CONTENT, body="")


def render_begun(delivery: Delivery) -> Response:
    """Return a delivery that waits for its first try."""
    return native.render_response(HTTPStatus.ACCEPTED, build_delivery(delivery))


def parse_page(request: Request) -> tuple[int, str | None]:
    """Return the query's `limit`, and the delivery that the page comes after."""
    return _PAGING.parse(request.query)


def render_deliveries(endpoint_id: str, page: Page[Delivery], limit: int) -> Response:
    """Return a page of an endpoint's log, with a link to the next one if there is one."""
    path = f"/v1/webhooks/{endpoint_id}/deliveries"
    body: responses.DeliveryList = {
        "deliveries": [build_delivery(each) for each in page.items],
        **native.build_next_page(_PAGING, path, {"limit": limit}, page.after),
    }
    return native.render_page(body)


def build_webhook(endpoint: Endpoint) -> "responses.Webhook":
    """Return an endpoint as its owner sees it, without its secret."""
    failing_since, disabled_at = endpoint.failing_since, endpoint.disabled_at
    return {
        "id": endpoint.id,
        "url": endpoint.url,
        "label": endpoint.label,
        "events": list(endpoint.events),
        "enabled": endpoint.enabled,
        "created_at": clock.to_rfc3339(endpoint.created_at),
        "failing_since": None if failing_since is None else clock.to_rfc3339(failing_since),
        "disabled_at": None if disabled_at is None else clock.to_rfc3339(disabled_at),
        "disabled_reason": endpoint.disabled_reason,
        "circuits": [_build_circuit(each) for each in endpoint.circuits if is_shown(each)],
    }


def is_shown(circuit: Circuit) -> bool:
    """Whether a circuit has failures, or deliveries to release."""
    return circuit.failures > 0 or circuit.state is not CircuitState.CLOSED


def _build_circuit(circuit: Circuit) -> "responses.Circuit":
    opened_at = circuit.opened_at
    return {
        "host": circuit.host,
        "state": circuit.state,
        "failures": circuit.failures,
        "opened_at": None if opened_at is None else clock.to_rfc3339(opened_at),
    }


def build_delivery(delivery: Delivery) -> "responses.Delivery":
    """Return a delivery as its owner sees it."""
    next_at = delivery.next_at
    return {
        "id": delivery.id,
        "event": delivery.event,
        "generation": delivery.generation,
        "url": delivery.url,
        "status": delivery.status,
        "created_at": clock.to_rfc3339(delivery.created_at),
        "next_at": None if next_at is None else clock.to_rfc3339(next_at),
        "tries": [
            {
                "at": clock.to_rfc3339(each.at),
                "status": each.status,
                "note": each.note,
                "seconds": each.seconds,
            }
            for each in delivery.tries
        ],
        "body": delivery.body,
    }


def _build_secret(endpoint: Endpoint, secret: str) -> "responses.SecretWebhook":
    return {**build_webhook(endpoint), "secret": secret}


def _parse_label(values: Mapping[str, object]) -> str | None:
    label = values.get("label")
    if label is None:
        return None
    if not isinstance(label, str) or len(label) > MAX_LABEL:
        raise UnprocessableError("label", f"must be a text of up to {MAX_LABEL} characters.")
    return label


def _parse_enabled(values: Mapping[str, object]) -> bool | None:
    enabled = values.get("enabled")
    if enabled is not None and not isinstance(enabled, bool):
        raise UnprocessableError("enabled", "must be true or false.")
    return enabled


def _parse_after(values: Mapping[str, object]) -> str | None:
    after = read_text(values, "after", _MAX_CURSOR)
    if after is not None and not is_delivery_id(after):
        raise UnprocessableError("after", "must be the `after` of the answer before.")
    return after


def _parse_events(values: Mapping[str, object]) -> tuple[Event, ...] | None:
    value = values.get("events")
    return None if value is None else parse_choices("events", value, SUBSCRIBABLE_EVENTS)
