"""`afterword webhook`."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from afterword.dialects.native.webhooks import build_delivery, build_webhook, is_shown
from afterword.webhooks import Circuit, Delivery, Endpoint
from afterword.webhooks.signing import ROTATION_OVERLAP
from cli import stack
from cli.arguments import AsJson, TenantId
from cli.terminal import minute, result, result_json, result_table, say

if TYPE_CHECKING:
    from afterword.webhooks.replays import WebhookReplays
    from afterword.webhooks.store import WebhookStore

app = typer.Typer(
    no_args_is_help=True, help="Webhooks of a tenant: who is told when a generation has ended."
)

WebhookId = Annotated[
    str, typer.Argument(metavar="WEBHOOK", help="The webhook's id, as `list` shows it.")
]
_HOURS = int(ROTATION_OVERLAP.total_seconds()) // 3600


@app.command()
def add(
    context: typer.Context,
    tenant: TenantId,
    url: Annotated[str, typer.Argument(help="An https address, on port 443.")],
    label: Annotated[str, typer.Option(help="What it is for.")] = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Add a webhook. Its secret is printed this once."""
    services = stack.of(context)
    services.registry.get_tenant(tenant)
    endpoint, secret = services.webhook_endpoints.create(tenant, url, label)
    if as_json:
        result_json({**build_webhook(endpoint), "secret": secret})
        return
    result(secret)
    say(
        f"This is the secret of webhook {endpoint.id} of tenant {tenant}."
        " It is shown this once: keep it somewhere safe."
    )


@app.command("list")
def list_webhooks(context: typer.Context, tenant: TenantId, *, as_json: AsJson = False) -> None:
    """List a tenant's webhooks, oldest first."""
    services = stack.of(context)
    services.registry.get_tenant(tenant)
    endpoints = services.webhook_store.read_endpoints(tenant)
    if as_json:
        result_json([build_webhook(endpoint) for endpoint in endpoints])
        return
    result_table(
        ("ID", "URL", "LABEL", "CREATED (UTC)", "STATE"),
        [
            (
                endpoint.id,
                _address(endpoint),
                endpoint.label,
                minute(endpoint.created_at),
                _state(endpoint),
            )
            for endpoint in endpoints
        ],
    )


@app.command()
def show(
    context: typer.Context, tenant: TenantId, webhook: WebhookId, *, as_json: AsJson = False
) -> None:
    """Show a webhook, and whether it fails."""
    store = stack.of(context).webhook_store
    endpoint = store.with_circuits(store.get_endpoint(tenant, webhook))
    if as_json:
        result_json(build_webhook(endpoint))
        return
    result_table(
        ("FIELD", "VALUE"),
        [
            ("id", endpoint.id),
            ("url", _address(endpoint)),
            ("label", endpoint.label),
            ("events", ", ".join(endpoint.events)),
            ("created (UTC)", minute(endpoint.created_at)),
            ("state", _state(endpoint)),
            *(("circuit", _circuit(each)) for each in endpoint.circuits if is_shown(each)),
        ],
    )


@app.command()
def remove(context: typer.Context, tenant: TenantId, webhook: WebhookId) -> None:
    """Remove a webhook, and its secret."""
    stack.of(context).webhook_endpoints.remove(tenant, webhook)
    say(f"Removed webhook {webhook} of tenant {tenant}.")


@app.command()
def rotate(
    context: typer.Context, tenant: TenantId, webhook: WebhookId, *, as_json: AsJson = False
) -> None:
    """Give a webhook a new secret, printed this once; the old one signs beside it for a day."""
    endpoint, secret = stack.of(context).webhook_endpoints.rotate(tenant, webhook)
    if as_json:
        result_json({**build_webhook(endpoint), "secret": secret})
        return
    result(secret)
    say(
        f"This is the new secret of webhook {webhook}. For {_HOURS} hours what is sent is signed"
        " with the old one too."
    )


@app.command("test")
def send_test(
    context: typer.Context, tenant: TenantId, webhook: WebhookId, *, as_json: AsJson = False
) -> None:
    """Send a webhook a test; `deliveries` shows what came of it."""
    _begun(stack.of(context).webhook_deliveries.start_test(tenant, webhook), as_json=as_json)


@app.command()
def deliveries(
    context: typer.Context,
    tenant: TenantId,
    webhook: WebhookId,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="How many.")] = 20,
    *,
    as_json: AsJson = False,
) -> None:
    """Show what was sent to a webhook, newest first, and what it answered."""
    store = stack.of(context).webhook_store
    store.get_endpoint(tenant, webhook)
    found = list(islice(_newest(store, tenant, webhook, limit), limit))
    if as_json:
        result_json([build_delivery(delivery) for delivery in found])
        return
    result_table(
        ("ID", "EVENT", "GENERATION", "CREATED (UTC)", "STATUS", "TRIES", "LAST ANSWER"),
        [
            (
                delivery.id,
                delivery.event,
                delivery.generation or "",
                minute(delivery.created_at),
                delivery.status,
                str(delivery.try_count),
                _answer(delivery),
            )
            for delivery in found
        ],
    )


@app.command()
def replay(  # noqa: PLR0913 - one for each option
    context: typer.Context,
    tenant: TenantId,
    webhook: WebhookId,
    delivery: Annotated[
        str | None, typer.Argument(metavar="DELIVERY", help="Its id, as `deliveries` shows it.")
    ] = None,
    *,
    failed_since: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%SZ"],
            help="Send all that failed since this time (UTC), at a bounded pace.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Send a delivery once more, or all failed ones, with the same ids and the same bytes."""
    if (delivery is None) == (failed_since is None):
        raise typer.BadParameter("give a DELIVERY, or --failed-since", param_hint="DELIVERY")
    services = stack.of(context)
    if delivery is not None:
        _begun(services.webhook_deliveries.restart(tenant, webhook, delivery), as_json=as_json)
    elif failed_since is not None:
        since = failed_since.replace(tzinfo=UTC)
        _replay_failed(services.webhook_replays, tenant, webhook, since, as_json=as_json)


def _replay_failed(
    replays: "WebhookReplays", tenant: str, webhook: str, since: datetime, *, as_json: bool
) -> None:
    replayed, after = replays.replay(tenant, webhook, since)
    while after is not None:
        more, after = replays.replay(tenant, webhook, since, after)
        replayed += more
        say(f"{replayed:,} so far.")
    if as_json:
        result_json({"replayed": replayed})
        return
    result(str(replayed))
    say(f"Deliveries of webhook {webhook} that failed will be sent over the next minutes.")


def _newest(store: "WebhookStore", tenant: str, webhook: str, limit: int) -> Iterator[Delivery]:
    """Yield deliveries, page by page."""
    page = store.list_deliveries(tenant, webhook, limit)
    yield from page.items
    while page.after is not None:
        page = store.list_deliveries(tenant, webhook, limit, page.after)
        yield from page.items


def _begun(delivery: Delivery, *, as_json: bool) -> None:
    if as_json:
        result_json(build_delivery(delivery))
        return
    result(delivery.id)
    say(f"It will be sent to webhook {delivery.endpoint} in a moment.")


def _address(endpoint: Endpoint) -> str:
    return endpoint.url or "as each submission says"


def _state(endpoint: Endpoint) -> str:
    if endpoint.disabled_reason is not None:
        return f"disabled: {endpoint.disabled_reason}, {minute(endpoint.disabled_at)}"
    if any(circuit.is_open for circuit in endpoint.circuits):
        return "circuit open: deliveries wait"
    if endpoint.failing_since is not None:
        return f"failing since {minute(endpoint.failing_since)}"
    return "enabled"


def _circuit(circuit: Circuit) -> str:
    state = f"{circuit.state}, {circuit.failures} failures in a row"
    if circuit.opened_at is not None:
        state += f", open since {minute(circuit.opened_at)}"
    return state if circuit.host is None else f"{circuit.host}: {state}"


def _answer(delivery: Delivery) -> str:
    if not delivery.tries:
        return ""
    *_, last = delivery.tries
    return last.note or str(last.status)
