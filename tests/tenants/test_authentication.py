"""From a key string to its tenant: the refusals, and the time that a key is remembered."""

import secrets
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from afterword.errors import AfterwordError, ForbiddenError, UnauthenticatedError
from afterword.tenants import authentication, keys
from afterword.tenants.authentication import Authenticator
from afterword.tenants.keys import Scope
from afterword.tenants.registry import Registry
from tests.conftest import Call


@dataclass
class Monotonic:
    """The process's clock, in seconds, standing still until it is set."""

    seconds: float = 1_000.0

    def __call__(self) -> float:
        """Return the seconds."""
        return self.seconds


@pytest.fixture
def monotonic(monkeypatch: pytest.MonkeyPatch) -> Monotonic:
    """Set the clock that the cache goes by."""
    monotonic = Monotonic()
    monkeypatch.setattr(authentication, "time", SimpleNamespace(monotonic=monotonic))
    return monotonic


@pytest.fixture
def authenticator(registry: Registry, monotonic: Monotonic) -> Authenticator:  # noqa: ARG001 - its clock
    """Return an authenticator whose cache is empty, with a tenant in its registry."""
    registry.create_tenant("demo", "Demo Ltd")
    return Authenticator(registry)


def why_refused(authenticator: Authenticator, key: str | None) -> tuple[type[AfterwordError], str]:
    """Return the error that the key gets for the scope `read`."""
    with pytest.raises(AfterwordError) as refused:
        authenticator.authenticate(key).require(Scope.READ)
    return type(refused.value), str(refused.value)


def test_a_key_leads_to_its_tenant(authenticator: Authenticator, registry: Registry) -> None:
    """A live key gives the stored key, whose tenant is the caller."""
    stored, key = registry.create_key("demo", [Scope.READ, Scope.SUBMIT], "production")
    found = authenticator.authenticate(key)
    assert (found.id, found.tenant, found.label) == (stored.id, "demo", "production")


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (None, "An API key is needed."),
        ("", "An API key is needed."),
        ("secret", "The API key is malformed or mistyped."),
        ("aw_abcdefghijkl_" + 40 * "x" + "_00000000", "The API key is malformed or mistyped."),
    ],
)
def test_what_is_no_key_is_refused_without_asking_storage(
    authenticator: Authenticator, calls: list[Call], key: str | None, message: str
) -> None:
    """A missing or mistyped key is refused, and costs no call of AWS."""
    assert why_refused(authenticator, key) == (UnauthenticatedError, message)
    assert calls == []


def test_an_unknown_key_is_refused(authenticator: Authenticator) -> None:
    """A well-formed key of no tenant is refused."""
    assert why_refused(authenticator, keys.generate_key()[1]) == (
        UnauthenticatedError,
        "The API key is not known.",
    )


def test_a_flood_of_one_unknown_key_takes_one_read(
    authenticator: Authenticator, calls: list[Call], monotonic: Monotonic
) -> None:
    """An unknown key is looked up once in UNKNOWN_SECONDS, and refused each time."""
    _, unknown = keys.generate_key()
    for _ in range(100):
        assert why_refused(authenticator, unknown)[0] is UnauthenticatedError
    assert len(calls) == 1
    monotonic.seconds += authentication.UNKNOWN_SECONDS
    why_refused(authenticator, unknown)
    assert len(calls) == 2


def test_an_unknown_key_is_not_remembered_for_long(
    authenticator: Authenticator,
    registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
    monotonic: Monotonic,
) -> None:
    """A key that was refused as unknown is taken UNKNOWN_SECONDS later, if it is there."""
    made = keys.generate_key()
    why_refused(authenticator, made[1])
    monkeypatch.setattr(keys, "generate_key", lambda: made)
    assert registry.create_key("demo", [Scope.READ])[1] == made[1]
    monotonic.seconds += authentication.UNKNOWN_SECONDS
    assert authenticator.authenticate(made[1]).tenant == "demo"


def test_a_flood_of_unknown_keys_is_remembered_within_bounds(
    authenticator: Authenticator, calls: list[Call], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many unknown keys the last CACHE_SIZE are remembered."""
    monkeypatch.setattr(authentication, "CACHE_SIZE", 2)
    unknown = [keys.generate_key()[1] for _ in range(3)]
    for key in unknown:
        why_refused(authenticator, key)
    calls.clear()
    for key in unknown[1:]:
        why_refused(authenticator, key)
    assert calls == []
    why_refused(authenticator, unknown[0])
    assert len(calls) == 1


def test_a_known_id_with_another_secret_is_an_unknown_key(
    authenticator: Authenticator, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guessed secret for a known key id is refused like any unknown key, cached or not."""
    stored, key = registry.create_key("demo", [Scope.READ])
    letters = iter(stored.id + 40 * "x")
    monkeypatch.setattr(secrets, "choice", lambda _: next(letters))
    _, guess = keys.generate_key()
    unknown = (UnauthenticatedError, "The API key is not known.")
    assert why_refused(authenticator, guess) == unknown
    authenticator.authenticate(key)
    assert why_refused(authenticator, guess) == unknown


def test_a_key_without_the_scope_is_refused(
    authenticator: Authenticator, registry: Registry
) -> None:
    """A good key that may not do this is forbidden, and told which scope is missing."""
    _, key = registry.create_key("demo", [Scope.SUBMIT, Scope.ADMIN])
    assert why_refused(authenticator, key) == (
        ForbiddenError,
        "The API key does not have the scope 'read'.",
    )


def test_a_revoked_key_is_refused(authenticator: Authenticator, registry: Registry) -> None:
    """A key that was revoked before it was seen is refused at once."""
    stored, key = registry.create_key("demo", [Scope.READ])
    registry.revoke_key("demo", stored.id)
    assert why_refused(authenticator, key) == (UnauthenticatedError, "The API key is revoked.")


def test_a_key_is_remembered_for_a_minute(
    authenticator: Authenticator, registry: Registry, calls: list[Call], monotonic: Monotonic
) -> None:
    """Within a minute a key is looked up once; after it, again."""
    _, key = registry.create_key("demo", [Scope.READ])
    calls.clear()
    for seconds in (1_000.0, 1_030.0, 1_059.9):
        monotonic.seconds = seconds
        authenticator.authenticate(key)
    assert [call.operation for call in calls] == ["dynamodb.GetItem"]
    monotonic.seconds = 1_060.0
    authenticator.authenticate(key)
    assert [call.operation for call in calls] == ["dynamodb.GetItem"] * 2


def test_a_revocation_is_seen_within_a_minute(
    authenticator: Authenticator, registry: Registry, monotonic: Monotonic
) -> None:
    """A key that is in use when it is revoked is refused 60 s later at the latest."""
    stored, key = registry.create_key("demo", [Scope.READ])
    authenticator.authenticate(key)
    registry.revoke_key("demo", stored.id)
    monotonic.seconds += 59.9
    assert authenticator.authenticate(key).id == stored.id
    monotonic.seconds += 0.1
    assert why_refused(authenticator, key) == (UnauthenticatedError, "The API key is revoked.")


def test_the_cache_does_not_grow_without_end(
    authenticator: Authenticator,
    registry: Registry,
    calls: list[Call],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When the cache is full it starts again, and every key is still taken."""
    monkeypatch.setattr(authentication, "CACHE_SIZE", 2)
    made = [registry.create_key("demo", [Scope.READ])[1] for _ in range(3)]
    calls.clear()
    for key in (*made, *made):
        authenticator.authenticate(key)
    assert len(calls) > 3


def test_unknown_keys_do_not_push_out_known_ones(
    authenticator: Authenticator,
    registry: Registry,
    calls: list[Call],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many unknown keys are tried, a known one need not be looked up again."""
    monkeypatch.setattr(authentication, "CACHE_SIZE", 2)
    _, key = registry.create_key("demo", [Scope.READ])
    authenticator.authenticate(key)
    for _ in range(5):
        why_refused(authenticator, keys.generate_key()[1])
    calls.clear()
    authenticator.authenticate(key)
    assert calls == []
