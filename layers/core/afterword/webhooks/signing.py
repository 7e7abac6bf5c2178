"""Secrets of endpoints, and the signed headers of a try (Standard Webhooks 1.0)."""

import base64
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from secrets import token_bytes

from afterword.webhooks import Delivery, Secret

ROTATION_OVERLAP = timedelta(hours=24)
"""After a rotation the old secret signs beside the new one for this long."""

type Headers = Mapping[str, str]

_PREFIX = "whsec_"
_SECRET_BYTES = 32


def new_secret() -> str:
    """Return a new secret of 256 random bits."""
    return _PREFIX + base64.b64encode(token_bytes(_SECRET_BYTES)).decode()


def rotate_secrets(secrets: Sequence[Secret], moment: datetime) -> tuple[Secret, ...]:
    """Return a new secret, and the older ones that sign beside it until their ends."""
    newest, *older = secrets
    return (
        Secret(new_secret(), None),
        Secret(newest.text, moment + ROTATION_OVERLAP),
        *(secret for secret in older if secret.until is not None and moment < secret.until),
    )


def build_headers(delivery: Delivery, secrets: Sequence[Secret], moment: datetime) -> Headers:
    """Return the headers of a try at this moment, signed with all secrets that have not ended."""
    timestamp = str(int(moment.timestamp()))
    signed = f"{delivery.id}.{timestamp}.{delivery.body}".encode()
    signatures = [
        f"v1,{_sign(secret.text, signed)}"
        for secret in secrets
        if secret.until is None or moment < secret.until
    ]
    return {
        "content-type": "application/json",
        "webhook-id": delivery.id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(signatures),
    }


def _sign(secret: str, content: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    return base64.b64encode(hmac.digest(key, content, "sha256")).decode()
