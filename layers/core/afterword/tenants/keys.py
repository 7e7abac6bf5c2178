"""API keys: `aw_<key id>_<secret>_<checksum>`, shown once and stored as a hash.

The checksum tells a mistyped key from an unknown one without a read of the table. Secret scanners
recognise a leaked key by the same form.
"""

import hashlib
import hmac
import re
import secrets
import string
import zlib
from datetime import datetime
from enum import StrEnum

from afterword.errors import ForbiddenError
from afterword.records import dataclass

PREFIX = "aw_"
"""The beginning of every key string."""
_ALPHABET = string.ascii_letters + string.digits
_KEY_ID = re.compile(r"[A-Za-z0-9]{12}")
_KEY = re.compile(PREFIX + r"([A-Za-z0-9]{12})_([A-Za-z0-9]{40})_([0-9a-f]{8})")


class Scope(StrEnum):
    """A right of a key: to submit generations, to read them, to administer the tenant."""

    SUBMIT = "submit"
    READ = "read"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A tenant's key as stored, without its secret, of which `hash` is the SHA-256 in hex.

    A key with a `flow` is bound to that flow, as an app's key is in GenAI Stack.
    `reads_per_minute` and `requests_per_minute` are its tenant's limits of reads and of each key's
    requests (afterword.limits), so that authentication reads no other item.
    """

    id: str
    tenant: str
    hash: str
    scopes: frozenset[Scope]
    label: str
    created_at: datetime
    revoked_at: datetime | None
    flow: str | None = None
    reads_per_minute: int | None = None
    requests_per_minute: int | None = None

    def require(self, scope: Scope) -> None:
        """Raise ForbiddenError if the key lacks a scope."""
        if scope not in self.scopes:
            raise ForbiddenError(f"The API key does not have the scope '{scope}'.")

    def matches(self, secret: str) -> bool:
        """Whether the secret is this key's; constant in time."""
        return hmac.compare_digest(self.hash, digest(secret))


@dataclass(frozen=True, slots=True)
class Credential:
    """The parts of a well-formed key string, not authenticated yet."""

    key_id: str
    secret: str


def generate_key() -> tuple[Credential, str]:
    """Return a new credential and the key string that carries it, with 238 random bits."""
    key_id = "".join(secrets.choice(_ALPHABET) for _ in range(12))
    secret = "".join(secrets.choice(_ALPHABET) for _ in range(40))
    body = f"{PREFIX}{key_id}_{secret}"
    return Credential(key_id, secret), f"{body}_{_checksum(body)}"


def parse_key(key: str) -> Credential | None:
    """Return a key string's credential; None for a malformed or mistyped one."""
    match = _KEY.fullmatch(key)
    if match is None or _checksum(key.rpartition("_")[0]) != match[3]:
        return None
    return Credential(match[1], match[2])


def is_key_id(text: str) -> bool:
    """Whether the text may be the id of a key."""
    return _KEY_ID.fullmatch(text) is not None


def digest(secret: str) -> str:
    """Return the SHA-256 of a secret in hex; enough for a random secret of 238 bits."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _checksum(body: str) -> str:
    return f"{zlib.crc32(body.encode()):08x}"
