"""API keys: their format, their checksum, and how a secret is compared."""

import hashlib
import hmac
import re
import string
import zlib
from collections.abc import Callable
from dataclasses import asdict, replace

import pytest

from afterword.tenants import keys
from afterword.tenants.keys import ApiKey, Credential, Scope
from tests.conftest import START

ALPHABET = string.ascii_letters + string.digits


def make_key(credential: Credential) -> ApiKey:
    """Return the key as it would be stored."""
    return ApiKey(
        id=credential.key_id,
        tenant="demo",
        hash=keys.digest(credential.secret),
        scopes=frozenset({Scope.READ}),
        label="",
        created_at=START,
        revoked_at=None,
    )


def test_a_key_is_what_the_documentation_says() -> None:
    """A key is `aw_<key id>_<secret>_<checksum>`, the checksum being CRC-32 of what is before."""
    credential, key = keys.generate_key()
    match = re.fullmatch(r"(aw_([A-Za-z0-9]{12})_([A-Za-z0-9]{40}))_([0-9a-f]{8})", key)
    assert match is not None
    assert credential == Credential(match[2], match[3])
    assert match[4] == f"{zlib.crc32(match[1].encode()):08x}"


def test_keys_are_random() -> None:
    """No two keys share an id or a secret, and all of the alphabet is used."""
    made = [keys.generate_key()[0] for _ in range(200)]
    assert len({credential.key_id for credential in made}) == 200
    assert len({credential.secret for credential in made}) == 200
    assert set("".join(credential.secret for credential in made)) == set(ALPHABET)


def test_a_key_is_read_back() -> None:
    """Parsing a key gives the credential that it was made with."""
    credential, key = keys.generate_key()
    assert keys.parse_key(key) == credential


def test_every_mistyped_character_is_noticed() -> None:
    """A key with any one character replaced is refused before any storage is asked."""
    _, key = keys.generate_key()
    taken = [
        (at, letter)
        for at, was in enumerate(key)
        for letter in ALPHABET + "_- "
        if letter != was and keys.parse_key(key[:at] + letter + key[at + 1 :]) is not None
    ]
    assert taken == []


def test_every_missing_or_swapped_character_is_noticed() -> None:
    """A key with one character left out, or two neighbours swapped, is refused."""
    _, key = keys.generate_key()
    missing = [at for at in range(len(key)) if keys.parse_key(key[:at] + key[at + 1 :]) is not None]
    swapped = [
        at
        for at in range(len(key) - 1)
        if key[at] != key[at + 1]
        and keys.parse_key(key[:at] + key[at + 1] + key[at] + key[at + 2 :]) is not None
    ]
    assert (missing, swapped) == ([], [])


@pytest.mark.parametrize(
    "change",
    [
        lambda _: "",
        lambda _: "aw_",
        lambda _: "sk-0123456789",
        lambda key: f" {key}",
        lambda key: f"{key}\n",
        lambda key: f"{key}0",
        lambda key: key.upper(),
        lambda key: key.rpartition("_")[0],
        lambda key: key.replace("aw_", "AW_"),
        lambda key: key.replace("_", "-"),
        lambda key: f"{key}\x00",
        lambda key: key[:-1] + "\N{FULLWIDTH DIGIT ONE}",
        lambda key: key * 2,
        lambda key: f"{key[:5]}\ud800{key[6:]}",
    ],
)
def test_what_is_no_key_is_none(change: Callable[[str], str]) -> None:
    """Anything that is not exactly a key is no key."""
    assert keys.parse_key(change(keys.generate_key()[1])) is None


def test_a_secret_is_kept_as_its_sha_256() -> None:
    """The stored hash is SHA-256 in hex, and the stored key has the secret nowhere."""
    credential, key = keys.generate_key()
    stored = make_key(credential)
    assert stored.hash == hashlib.sha256(credential.secret.encode()).hexdigest()
    assert credential.secret not in repr(asdict(stored))
    assert key not in repr(asdict(stored))


def test_a_key_matches_its_own_secret_only() -> None:
    """A key is matched by its secret and by no other one."""
    credential, _ = keys.generate_key()
    stored = make_key(credential)
    assert stored.matches(credential.secret)
    assert not stored.matches(keys.generate_key()[0].secret)
    assert not stored.matches("")
    assert not stored.matches(stored.hash)


def test_secrets_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hashes are compared, by the function that takes the same time for all of them."""
    compared: list[tuple[str, str]] = []

    def compare(left: str, right: str) -> bool:
        compared.append((left, right))
        return False

    monkeypatch.setattr(hmac, "compare_digest", compare)
    credential, _ = keys.generate_key()
    assert make_key(credential).matches(credential.secret) is False
    assert compared == [(keys.digest(credential.secret), keys.digest(credential.secret))]


def test_a_key_is_for_one_flow_or_for_none() -> None:
    """A key is for no flow unless it says so, and its flow has no part in whose it is."""
    credential, _ = keys.generate_key()
    stored = make_key(credential)
    assert stored.flow is None
    bound = replace(stored, flow="mail-reply")
    assert (bound.flow, bound.matches(credential.secret)) == ("mail-reply", True)
    assert bound != stored
