"""Webhooks: endpoints, events and deliveries, without AWS.

The format is Standard Webhooks 1.0: https://github.com/standard-webhooks/standard-webhooks
"""

import re
import string
import uuid
from datetime import datetime, timedelta
from enum import StrEnum
from secrets import choice

from afterword.records import dataclass

MAX_ENDPOINTS = 20
"""Endpoints of a tenant; each end is compared with each of them."""
MAX_LABEL = 200
"""Characters of an endpoint's label."""
SUBMISSIONS = "submissions"
"""Id of the endpoint that stands for the `webhook_url` of a tenant's submissions."""
SEND_SECONDS = 15.0
"""For one try: the name's lookup, the connection and the answer."""
DISABLED_AFTER = timedelta(days=5)
"""An endpoint is disabled after failing for this long."""
DELIVERY_RETENTION = timedelta(days=30)
"""Deliveries stay in the log for this long."""
GUARD = timedelta(minutes=15)
"""After the time of a message that was sent, the sweeper takes the message for lost."""
OPEN_AFTER = 10
"""Failures in a row that open a circuit."""

_ALPHABET = string.ascii_lowercase + string.digits
_ID = re.compile("wh_[a-z0-9]{20}")


class Event(StrEnum):
    """The type of a webhook."""

    FINISHED = "generation.finished"
    TEST = "webhook.test"


SUBSCRIBABLE_EVENTS = (Event.FINISHED,)
"""The events that an endpoint may subscribe to; a test needs no subscription."""


class Disabled(StrEnum):
    """The cause of an endpoint's being disabled."""

    OWNER = "owner"
    GONE = "gone"
    FAILING = "failing"


class DeliveryStatus(StrEnum):
    """The state of a delivery; the last two are terminal until a replay."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class CircuitState(StrEnum):
    """The state of a circuit."""

    CLOSED = "closed"
    """Deliveries are tried."""
    OPEN = "open"
    """One delivery at a time is tried, the probe; the others are parked."""
    RELEASING = "releasing"
    """Deliveries are tried, and the parked ones leave at a bounded pace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """The circuit breaker of a receiver.

    - `name` is the endpoint's id; for SUBMISSIONS it has the host of the `webhook_url`, too.
    - `failures` are those in a row.
    - `probe` is the id of the delivery that may be tried while the circuit is open.
    - `due_at` is the sweeper's next look; None once nothing is parked.
    - `pace` is the number of parked deliveries that the next minute releases.
    """

    tenant: str
    name: str
    state: CircuitState = CircuitState.CLOSED
    failures: int = 0
    opened_at: datetime | None = None
    probe: str | None = None
    due_at: datetime | None = None
    pace: int = 0

    @property
    def is_open(self) -> bool:
        """Whether the probe alone may be tried."""
        return self.state is CircuitState.OPEN

    @property
    def endpoint(self) -> str:
        """The id of the circuit's endpoint."""
        return self.name.partition("#")[0]

    @property
    def host(self) -> str | None:
        """The host of a `webhook_url`, with its port; None for an endpoint with its own address."""
        return self.name.partition("#")[2] or None

    @property
    def parking(self) -> str:
        """The partition of the index that has the circuit's parked deliveries."""
        return f"{self.tenant}#{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A tenant's address for events.

    - `url` is None for SUBMISSIONS, where each submission gives its own address.
    - `secret_version` is the version of the parameter that holds the endpoint's secrets.
    - `failing_since` is set while tries fail.
    - `disabled_at` and `disabled_reason` are set while the endpoint is disabled.
    - `circuits` are those with failures, where they were read with the endpoint.
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
    circuits: tuple[Circuit, ...] = ()

    @property
    def enabled(self) -> bool:
        """Whether deliveries to the endpoint begin."""
        return self.disabled_at is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An owner's change of an endpoint; None keeps a field."""

    url: str | None = None
    label: str | None = None
    events: tuple[Event, ...] | None = None
    enabled: bool | None = None


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret in its written form, `whsec_…`; `until` is its end, None for the newest."""

    text: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Try:
    """One try of a delivery; `status` is the receiver's, None without an answer.

    `note` is the cause of a failure, "" after a success.
    """

    at: datetime
    status: int | None
    note: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """An event on its way to an endpoint; each try sends the same bytes, `body`.

    - `id` is the `webhook-id` header.
    - `try_count` counts the tries since the start, or since the last replay.
    - `tries` are the last tries.
    - `attempt` is the fence: a sender's write counts only while the delivery has that attempt.
    - `due_in` and `due_at` are its place on the index of waiting deliveries, None without one.
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
    try_count: int = 0
    attempt: int = 0
    tries: tuple[Try, ...] = ()
    due_in: str | None = None
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """The entry of a waiting delivery on the index."""

    tenant: str
    endpoint: str
    id: str
    due_in: str
    due_at: datetime
    next_at: datetime | None


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
