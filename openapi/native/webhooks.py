"""Webhook endpoints and their deliveries: `/v1/webhooks`."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field
from pydantic.experimental.missing_sentinel import MISSING

from afterword.dialects.native.webhooks import MAX_PAGE
from afterword.runtime.outbound import MAX_URL
from afterword.webhooks import MAX_LABEL, DeliveryStatus, Disabled, Event
from openapi.operations import (
    NEXT,
    Answer,
    Described,
    Operation,
    Section,
    Strict,
    json_body,
    path,
    query,
)
from openapi.problem import problems

TAG = "Webhooks"
KEYS = ("bearer",)

_Id = Annotated[str, Field(pattern="^(wh_[a-z0-9]{20}|submissions)$")]
_DeliveryId = Annotated[str, Field(pattern="^msg_[0-9a-f-]{36}$")]
_Url = Annotated[str, Field(min_length=1, max_length=MAX_URL)]
_Label = Annotated[str, Field(max_length=MAX_LABEL)]
_Events = Annotated[list[Literal["generation.finished"]], Field(min_length=1)]


ID = path("webhookId", "The webhook.", _Id)


class NewWebhook(Strict):
    """A webhook that is to be created."""

    url: _Url
    """https, on port 443, on the public internet."""
    label: _Label | None = None
    """What it is for."""
    events: _Events | None = None
    """What it is told of; all without it."""


class WebhookChange(Strict):
    """What is to be changed of a webhook; what is not sent stays."""

    url: _Url | MISSING = MISSING
    label: _Label | MISSING = MISSING
    events: _Events | MISSING = MISSING
    enabled: bool | MISSING = MISSING
    """True lets it begin anew."""


class Webhook(Described):
    """An address that is told of events."""

    id: _Id
    url: str | None
    """Null for the one that stands for the `webhook_url` of submissions."""
    label: str
    events: list[Event]
    enabled: bool
    created_at: datetime
    failing_since: datetime | None
    """Since when its tries fail."""
    disabled_at: datetime | None
    disabled_reason: Disabled | None


class SecretWebhook(Webhook):
    """A webhook with its secret, as it is shown once."""

    secret: str
    """What deliveries are signed with, `whsec_…` (Standard Webhooks)."""


class WebhookList(Described):
    """All webhooks."""

    webhooks: list[Webhook]
    """Oldest first."""


class Try(Described):
    """A try of a delivery."""

    at: datetime
    status: int | None
    """What was answered; null without an answer."""
    note: str
    """Why there was no answer, or what was wrong with it."""
    seconds: float


class Delivery(Described):
    """An event on its way to a webhook."""

    id: _DeliveryId
    """Its `webhook-id`, equal on every try."""
    event: Event
    generation: UUID | None
    url: str | None
    status: DeliveryStatus
    created_at: datetime
    next_at: datetime | None
    """When it is tried next."""
    tries: list[Try]
    """The last ones."""
    body: str
    """What is sent, to the byte."""


class DeliveryList(Described):
    """A page of deliveries."""

    deliveries: list[Delivery]
    """Newest first."""


SHOWN = {200: Answer(description="The webhook.", model=Webhook)}
BEGUN = {202: Answer(description="It is on its way.", model=Delivery)}
SECTION = Section(
    TAG,
    "Addresses that are told of ends, signed as Standard Webhooks 1.0 has it. Takes a key with the"
    " scope `admin` that is bound to no flow.",
    (
        Operation(
            name="list_webhooks",
            route="GET /v1/webhooks",
            tag=TAG,
            summary="List the webhooks",
            answers={200: Answer(description="The webhooks.", model=WebhookList)}
            | problems(401, 403, 413, 503),
            keys=KEYS,
        ),
        Operation(
            name="create_webhook",
            route="POST /v1/webhooks",
            tag=TAG,
            summary="Create a webhook",
            body=json_body(NewWebhook),
            answers={
                201: Answer(
                    description="The webhook, with its secret.",
                    model=SecretWebhook,
                    headers={"Location": "Where it is from now on."},
                )
            }
            | problems(400, 401, 403, 409, 413, 422, 503, s409="There are too many."),
            keys=KEYS,
        ),
        Operation(
            name="get_webhook",
            route="GET /v1/webhooks/{webhookId}",
            tag=TAG,
            summary="Read a webhook",
            parameters=(ID,),
            answers=SHOWN | problems(401, 403, 404, 413, 503),
            keys=KEYS,
        ),
        Operation(
            name="update_webhook",
            route="PATCH /v1/webhooks/{webhookId}",
            tag=TAG,
            summary="Change a webhook",
            parameters=(ID,),
            body=json_body(WebhookChange),
            answers=SHOWN | problems(400, 401, 403, 404, 409, 413, 422, 503),
            keys=KEYS,
        ),
        Operation(
            name="delete_webhook",
            route="DELETE /v1/webhooks/{webhookId}",
            tag=TAG,
            summary="Delete a webhook and its secrets",
            parameters=(ID,),
            answers={204: Answer(description="It is not there any more.")}
            | problems(
                *(401, 403, 404, 409, 413, 503),
                s409="It stands for the `webhook_url` of submissions.",
            ),
            keys=KEYS,
        ),
        Operation(
            name="rotate_webhook",
            route="POST /v1/webhooks/{webhookId}/rotate",
            tag=TAG,
            summary="Give a webhook a new secret",
            description="The old one signs beside it for a day.",
            parameters=(ID,),
            answers={200: Answer(description="The webhook, with its secret.", model=SecretWebhook)}
            | problems(
                *(401, 403, 404, 409, 413, 503), s409="It was rotated by somebody else meanwhile."
            ),
            keys=KEYS,
        ),
        Operation(
            name="test_webhook",
            route="POST /v1/webhooks/{webhookId}/test",
            tag=TAG,
            summary="Send a webhook a test",
            parameters=(ID,),
            answers=BEGUN | problems(401, 403, 404, 409, 413, 503, s409="It is disabled."),
            keys=KEYS,
        ),
        Operation(
            name="list_deliveries",
            route="GET /v1/webhooks/{webhookId}/deliveries",
            tag=TAG,
            summary="List what was sent to a webhook",
            parameters=(
                ID,
                query("limit", "How many at most.", Annotated[int, Field(ge=1, le=MAX_PAGE)]),
                query("after", "Where the page begins, from the `Link` of the one before."),
            ),
            answers={
                200: Answer(description="A page of deliveries.", model=DeliveryList, headers=NEXT)
            }
            | problems(400, 401, 403, 404, 413, 503),
            keys=KEYS,
        ),
        Operation(
            name="replay_delivery",
            route="POST /v1/webhooks/{webhookId}/deliveries/{deliveryId}/replay",
            tag=TAG,
            summary="Send a delivery again",
            parameters=(ID, path("deliveryId", "The delivery.", _DeliveryId)),
            answers=BEGUN
            | problems(
                *(401, 403, 404, 409, 413, 503),
                s409="It is being sent at this moment, or the webhook is disabled.",
            ),
            keys=KEYS,
        ),
    ),
)
