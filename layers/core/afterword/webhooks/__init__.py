"""Webhooks: who is told of what, in which words, and how it is signed. No AWS in here.

They follow Standard Webhooks 1.0 (https://github.com/standard-webhooks/standard-webhooks).
"""

import base64
import hashlib
import hmac
import json
import math
import re
import string
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from secrets import choice, token_bytes
from typing import TYPE_CHECKING

from afterword import clock
from afterword.errors import UnprocessableError
from afterword.runtime import outbound

if TYPE_CHECKING:
    from afterword.generations.ends import End
    from afterword.runtime.outbound import Reply

MAX_ENDPOINTS = 20
"""Of a tenant: each is asked about each end."""
MAX_LABEL = 200
MAX_HOSTS = 50
SUBMISSIONS = "submissions"
"""Id of the endpoint that stands for the `webhook_url` of a tenant's submissions."""
SEND_SECONDS = 15.0
"""For a try: the name, the connection, and the answer."""
DISABLED_AFTER = timedelta(days=5)
"""An endpoint that fails so long is disabled."""
ROTATION_OVERLAP = timedelta(hours=24)
"""For so long the old secret signs beside the new one."""
DELIVERY_RETENTION = timedelta(days=30)
"""For so long deliveries are in the log."""
MAX_WAIT = 12 * 60 * 60 - 60
"""Seconds between two tries: a message is hidden for 12 hours at most, its last try included."""

type Headers = Mapping[str, str]

_PREFIX = "whsec_"
_SECRET_BYTES = 32
_ALPHABET = string.ascii_lowercase + string.digits
_ID = re.compile("wh_[a-z0-9]{20}")
_HOST = re.compile(r"(?=.{1,253}(:|$))[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?")
_SECONDS = re.compile("[0-9]{1,9}")


class Event(StrEnum):
    """What a webhook tells of."""

    FINISHED = "generation.finished"
    TEST = "webhook.test"


SUBSCRIBABLE_EVENTS = (Event.FINISHED,)
"""What an endpoint may ask for; a test comes unasked."""


class Disabled(StrEnum):
    """Why an endpoint is disabled."""

    OWNER = "owner"
    GONE = "gone"
    FAILING = "failing"


class DeliveryStatus(StrEnum):
    """Where a delivery stands."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An address of a tenant that is told of events.

    `url` is None for SUBMISSIONS, which is told at the address that each submission gives.
    `secret_version` is the version of its parameter that holds its secrets. `disabled_at` and
    `disabled_reason` are there while it is disabled, `failing_since` while its tries fail.
    """

    tenant: str
    id: str
    url: str | None
    label: str
    events: tuple[Event, ...]
    created_at: datetime
    secret_version: int
    failing_since: datetime | None = None
    disabled_at: datetime | None = None
    disabled_reason: Disabled | None = None

    @property
    def enabled(self) -> bool:
        """Whether it is told of anything."""
        return self.disabled_at is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What its owner changes of an endpoint; None leaves it as it is."""

    url: str | None = None
    label: str | None = None
    events: tuple[Event, ...] | None = None
    enabled: bool | None = None


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret in its written form, `whsec_…`; `until` is when it ends, None for the newest."""

    text: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Try:
    """One try of a delivery: what the receiver answered, or in `note` why it did not."""

    at: datetime
    status: int | None
    note: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """An event on its way to an endpoint. `body` is what is sent, to the byte, on each try.

    `id` is its `webhook-id`. `made` are the tries since it was begun, or begun again by a replay;
    `tries` are the last ones. `attempt` is the fence: what a sender writes counts only while the
    delivery still has it.
    """

    tenant: str
    endpoint: str
    id: str
    event: Event
    generation: str | None
    url: str | None
    body: str
    status: DeliveryStatus
    created_at: datetime
    next_at: datetime | None
    made: int = 0
    attempt: int = 0
    tries: tuple[Try, ...] = ()


def new_id() -> str:
    """Return a new endpoint's id."""
    return "wh_" + "".join(choice(_ALPHABET) for _ in range(20))


def is_endpoint_id(text: str) -> bool:
    """Whether the text may be an endpoint's id."""
    return text == SUBMISSIONS or _ID.fullmatch(text) is not None


def is_delivery_id(text: str) -> bool:
    """Whether the text is a delivery's id in its one form."""
    try:
        return f"msg_{uuid.UUID(text.removeprefix('msg_'))}" == text
    except ValueError:
        return False


def new_secret() -> str:
    """Return a new secret of 256 random bits."""
    return _PREFIX + base64.b64encode(token_bytes(_SECRET_BYTES)).decode()


def build_end_delivery(endpoint: Endpoint, ended: "End", url: str | None = None) -> Delivery:
    """Return the one delivery to an endpoint about the end of a generation.

    Its id is made from the two, so that whoever makes it again makes the same.
    """
    data = {
        "id": ended.id,
        "status": ended.status,
        "reason": ended.reason,
        "flow": ended.flow,
        "flow_version": ended.flow_version,
        "dialect": ended.dialect,
        "created_at": clock.to_rfc3339(ended.created_at),
        "finished_at": clock.to_rfc3339(ended.finished_at),
    }
    digest = hashlib.sha256(f"{endpoint.tenant}#{endpoint.id}#{ended.id}".encode()).digest()
    delivery_id = _delivery_id(ended.finished_at, digest)
    return _begun(endpoint, delivery_id, Event.FINISHED, ended.finished_at, data, ended.id, url)


def build_test_delivery(endpoint: Endpoint) -> Delivery:
    """Return a new delivery that tells an endpoint of nothing but itself."""
    now = clock.now()
    delivery_id = _delivery_id(now, token_bytes(16))
    return _begun(endpoint, delivery_id, Event.TEST, now, {"webhook": endpoint.id}, None, None)


def _begun(  # noqa: PLR0913, PLR0917 - what a delivery is made of
    endpoint: Endpoint,
    delivery_id: str,
    event: Event,
    moment: datetime,
    data: Mapping[str, object],
    generation: str | None,
    url: str | None,
) -> Delivery:
    now = clock.now()
    return Delivery(
        tenant=endpoint.tenant,
        endpoint=endpoint.id,
        id=delivery_id,
        event=event,
        generation=generation,
        url=url,
        body=json.dumps({"type": event, "timestamp": clock.to_rfc3339(moment), "data": data}),
        status=DeliveryStatus.PENDING,
        created_at=now,
        next_at=now,
    )


def _delivery_id(moment: datetime, digest: bytes) -> str:
    """Return an id that sorts by time: a version 8 UUID (RFC 9562, section 5.8)."""
    bits = clock.to_millis(moment) << 80 | int.from_bytes(digest[:10])
    bits = bits & ~(0xF << 76) | 0x8 << 76  # version
    bits = bits & ~(0x3 << 62) | 0x2 << 62  # variant
    return f"msg_{uuid.UUID(int=bits)}"


def build_headers(delivery: Delivery, held: Sequence[Secret], moment: datetime) -> Headers:
    """Return the headers of a try at this moment, signed with all secrets that have not ended."""
    timestamp = str(int(moment.timestamp()))
    signed = f"{delivery.id}.{timestamp}.{delivery.body}".encode()
    signatures = [
        f"v1,{_signature(secret.text, signed)}"
        for secret in held
        if secret.until is None or moment < secret.until
    ]
    return {
        "content-type": "application/json",
        "webhook-id": delivery.id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(signatures),
    }


def _signature(secret: str, content: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    return base64.b64encode(hmac.digest(key, content, "sha256")).decode()


def rotate_secrets(held: Sequence[Secret], moment: datetime) -> tuple[Secret, ...]:
    """Return a new secret, and those that sign beside it until they end."""
    newest, *older = held
    return (
        Secret(new_secret(), None),
        Secret(newest.text, moment + ROTATION_OVERLAP),
        *(secret for secret in older if secret.until is not None and moment < secret.until),
    )


def retry_wait(made: int, retries: Sequence[int], reply: "Reply | None") -> int | None:
    """Return the seconds to wait after a try that failed; None to give up.

    `retries` are the seconds after the first, the second, … try. Who asks for more in Retry-After
    gets it, up to MAX_WAIT.
    """
    if made > len(retries):
        return None
    asked = None if reply is None else _retry_after(reply.headers.get("retry-after", ""))
    return min(max(retries[made - 1], asked or 0), MAX_WAIT)


def _retry_after(text: str) -> int | None:
    """Return what a Retry-After asks for, seconds or a date (RFC 9110, section 10.2.3)."""
    if _SECONDS.fullmatch(text):
        return int(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    return math.ceil((moment - clock.now()).total_seconds())


def check_host(url: str, allowed: Collection[str]) -> None:
    """Raise UnprocessableError unless a submission's `webhook_url` is at one of the hosts."""
    try:
        scheme, host, port, _ = outbound.parse_url(url)
    except outbound.FetchError as error:
        raise UnprocessableError("webhook_url", str(error)) from error
    if is_allowed_host(scheme, host, port, allowed):
        return
    raise UnprocessableError("webhook_url", "its host is none that the tenant allows.")


def is_allowed_url(url: str, allowed: Collection[str]) -> bool:
    """Whether a submission's `webhook_url` is still at one of the hosts."""
    scheme, host, port, _ = outbound.parse_url(url)
    return is_allowed_host(scheme, host, port, allowed)


def is_allowed_host(scheme: str, host: str, port: int, allowed: Collection[str]) -> bool:
    """Whether a host is one of these; one on another port than HTTPS's is there with its port."""
    if scheme == "https" and port == outbound.HTTPS_PORT:
        return host in allowed
    return f"{host}:{port}" in allowed


def is_host(text: str) -> bool:
    """Whether the text is a host in lower-case ASCII, with or without a port."""
    return _HOST.fullmatch(text) is not None
