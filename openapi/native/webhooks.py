"""Webhook endpoints and their deliveries: `/v1/webhooks`."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field
from pydantic.experimental.missing_sentinel import MISSING

from afterword.dialects.native.responses.webhooks import (
    Delivery,
    DeliveryId,
    DeliveryList,
    Replay,
    SecretWebhook,
    Webhook,
    WebhookId,
    WebhookList,
)
from afterword.dialects.native.webhooks import MAX_PAGE
from afterword.runtime.addresses import MAX_URL
from afterword.webhooks import MAX_LABEL
from openapi.operations import (
    NEXT,
    Answer,
    Operation,
    Section,
    Strict,
    json_body,
    page_parameters,
    path,
)
from openapi.problem import problems

TAG = "Webhooks"
KEYS = ("bearer", "apiKey")

_Url = Annotated[str, Field(min_length=1, max_length=MAX_URL)]
_Label = Annotated[str, Field(max_length=MAX_LABEL)]
_Events = Annotated[list[Literal["generation.finished"]], Field(min_length=1)]


ID = path("webhookId", "The webhook.", WebhookId)


class NewWebhook(Strict):
    """A new webhook."""

    url: _Url
    """https, on port 443, on the public internet."""
    label: _Label | None = None
    """The purpose of the webhook."""
    events: _Events | None = None
    """The events of the webhook; all without this member."""


class WebhookChange(Strict):
    """A change of a webhook; members that are not sent stay."""

    url: _Url | MISSING = MISSING
    label: _Label | MISSING = MISSING
    events: _Events | MISSING = MISSING
    enabled: bool | MISSING = MISSING
    """True enables the webhook again."""


class NewReplay(Strict):
    """A replay of failed deliveries."""

    since: datetime
    """The least time of an event."""
    after: DeliveryId | None = None
    """The `after` of the answer before, for the next page."""


SHOWN = {200: Answer(description="The webhook.", model=Webhook)}
BEGUN = {202: Answer(description="The delivery is on its way.", model=Delivery)}
SECTION = Section(
    TAG,
    "Addresses that receive ends of generations, signed after Standard Webhooks 1.0. Takes a key"
    " with the scope `admin` that is bound to no flow.",
    (
        Operation(
            name="list_webhooks",
            route="GET /v1/webhooks",
            tag=TAG,
            summary="List the webhooks",
            description="Oldest first.",
            parameters=page_parameters("webhooks", MAX_PAGE, "cursor"),
            answers={
                200: Answer(description="A page of webhooks.", model=WebhookList, headers=NEXT)
            }
            | problems(400, 401, 403, 413, 503),
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
                    headers={"Location": "The path of the webhook."},
                )
            }
            | problems(400, 401, 403, 409, 413, 422, 503, s409="The tenant has too many webhooks."),
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
            answers={204: Answer(description="The webhook is deleted.")}
            | problems(
                *(401, 403, 404, 409, 413, 503),
                s409="The webhook stands for the `webhook_url` of submissions.",
            ),
            keys=KEYS,
        ),
        Operation(
            name="rotate_webhook",
            route="POST /v1/webhooks/{webhookId}/rotate",
            tag=TAG,
            summary="Give a webhook a new secret",
            description="The old secret signs beside the new one for a day.",
            parameters=(ID,),
            answers={200: Answer(description="The webhook, with its secret.", model=SecretWebhook)}
            | problems(
                *(401, 403, 404, 409, 413, 503),
                s409="Another request rotated the secret meanwhile.",
            ),
            keys=KEYS,
        ),
        Operation(
            name="test_webhook",
            route="POST /v1/webhooks/{webhookId}/test",
            tag=TAG,
            summary="Send a webhook a test",
            parameters=(ID,),
            answers=BEGUN | problems(401, 403, 404, 409, 413, 503, s409="The webhook is disabled."),
            keys=KEYS,
        ),
        Operation(
            name="list_deliveries",
            route="GET /v1/webhooks/{webhookId}/deliveries",
            tag=TAG,
            summary="List the deliveries of a webhook",
            parameters=(
                ID,
                *page_parameters("deliveries", MAX_PAGE),
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
            parameters=(ID, path("deliveryId", "The delivery.", DeliveryId)),
            answers=BEGUN
            | problems(
                *(401, 403, 404, 409, 413, 503),
                s409="A try is under way, or the webhook is disabled.",
            ),
            keys=KEYS,
        ),
        Operation(
            name="replay_deliveries",
            route="POST /v1/webhooks/{webhookId}/replay",
            tag=TAG,
            summary="Send the failed deliveries since a time again",
            description="Each call looks at 1,000 deliveries of the log, oldest first. Those that"
            " failed begin anew, with the same ids and bytes, and leave at a bounded pace.",
            parameters=(ID,),
            body=json_body(NewReplay),
            answers={202: Answer(description="Deliveries are on their way.", model=Replay)}
            | problems(400, 401, 403, 404, 409, 413, 422, 503, s409="The webhook is disabled."),
            keys=KEYS,
        ),
    ),
)
