"""`afterword tenant` and `afterword key`, under moto."""

import json

import pytest

from afterword.runtime.clients import clients
from afterword.tenants import keys
from afterword.tenants.keys import Scope
from afterword.tenants.registry import Registry
from tests.cli.conftest import Afterword, usage_error
from tests.conftest import SetClock
from tests.harness.deployment import REFERENCES

pytestmark = pytest.mark.usefixtures("stack", "set_clock")


def test_a_tenant_is_created(afterword: Afterword, registry: Registry) -> None:
    """`tenant create` stores the tenant with its name."""
    result = afterword("tenant", "create", "demo", "--name", "Demo [Ltd]")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "Created tenant demo (Demo [Ltd]).\n"
    assert registry.get_tenant("demo").name == "Demo [Ltd]"


def test_a_taken_or_malformed_id_creates_no_tenant(
    afterword: Afterword, registry: Registry
) -> None:
    """An id that is taken or malformed is one line on standard error and exit code 1."""
    registry.create_tenant("demo", "Demo")
    taken = afterword("tenant", "create", "demo", "--name", "Other")
    assert (taken.exit_code, taken.stderr) == (
        1,
        "afterword: There is a tenant demo already.\n",
    )
    malformed = afterword("tenant", "create", "de/mo", "--name", "Other")
    assert (malformed.exit_code, malformed.stderr) == (
        1,
        (
            "afterword: id: must be 1 to 64 letters, digits, '-' or '_', the first a letter or"
            " digit, not 'de/mo'.\n"
        ),
    )
    assert registry.get_tenant("demo").name == "Demo"


def test_a_key_is_shown_once_and_its_secret_not_stored(
    afterword: Afterword, registry: Registry
) -> None:
    """`key create` prints the whole key, which is good, and stores it as a hash only."""
    registry.create_tenant("demo", "Demo")
    result = afterword("key", "create", "demo")
    credential = keys.parse_key(result.stdout.strip())
    assert credential is not None
    assert (result.exit_code, result.stderr) == (
        0,
        (
            f"This is key {credential.key_id} of tenant demo (submit, read)."
            " It is shown this once: keep it somewhere safe.\n"
        ),
    )
    stored = registry.get_key(credential.key_id)
    assert stored is not None
    assert stored.matches(credential.secret)
    assert stored.scopes == {Scope.SUBMIT, Scope.READ}
    everything = clients().dynamodb.scan(TableName=REFERENCES["RegistryTable"])["Items"]
    assert credential.secret not in str(everything)
    assert credential.secret not in afterword("key", "list", "demo", "--json").output


def test_a_key_has_the_scopes_and_the_label_asked_for(
    afterword: Afterword, registry: Registry
) -> None:
    """`key create --json` prints the key and what is known of it."""
    registry.create_tenant("demo", "Demo")
    result = afterword(
        *("key", "create", "demo", "--scope", "admin", "--scope", "read"),
        *("--label", "back office", "--json"),
    )
    created = json.loads(result.stdout)
    credential = keys.parse_key(created["key"])
    assert credential is not None
    assert created == {
        "key": created["key"],
        "id": credential.key_id,
        "tenant": "demo",
        "label": "back office",
        "scopes": ["read", "admin"],
        "flow": None,
        "created_at": "2026-11-10T09:00:00+00:00",
        "revoked_at": None,
    }


def test_keys_are_listed_live_and_revoked(
    afterword: Afterword, registry: Registry, set_clock: SetClock
) -> None:
    """`key list` shows the keys oldest first, with the times of their making and revoking."""
    registry.create_tenant("demo", "Demo")
    first, _ = registry.create_key("demo", [Scope.SUBMIT, Scope.READ], "website")
    set_clock.advance(minutes=5)
    second, _ = registry.create_key("demo", [Scope.ADMIN], "[bold]ops")
    revoked = afterword("key", "revoke", "demo", first.id)
    assert (revoked.exit_code, revoked.output) == (
        0,
        f"Revoked key {first.id} of tenant demo; it may be taken for up to 60 seconds more.\n",
    )
    listed = afterword("key", "list", "demo")
    assert listed.stdout.splitlines() == [
        "ID            LABEL      SCOPES        FLOW  CREATED (UTC)     REVOKED (UTC)",
        f"{first.id}  website    submit, read        2026-11-10 09:00  2026-11-10 09:05",
        f"{second.id}  [bold]ops  admin               2026-11-10 09:05",
    ]
    assert [
        key["revoked_at"] for key in json.loads(afterword("key", "list", "demo", "--json").stdout)
    ] == [
        "2026-11-10T09:05:00+00:00",
        None,
    ]


def test_a_key_can_be_for_one_flow(afterword: Afterword, registry: Registry) -> None:
    """`key create --flow` binds it to a flow that there is, and says so."""
    registry.create_tenant("demo", "Demo")
    registry.put_flow("demo", "mail-reply", "{}")
    result = afterword("key", "create", "demo", "--flow", "mail-reply")
    assert ", for the flow mail-reply alone)" in result.stderr
    (key,) = registry.list_keys("demo")
    assert key.flow == "mail-reply"
    assert "mail-reply" in afterword("key", "list", "demo").stdout
    absent = afterword("key", "create", "demo", "--flow", "absent")
    assert (absent.exit_code, absent.stderr) == (1, "afterword: There is no flow absent.\n")
    assert len(registry.list_keys("demo")) == 1


def test_a_key_of_another_tenant_is_not_revoked(afterword: Afterword, registry: Registry) -> None:
    """A foreign key looks like an unknown one, and stays as it is."""
    registry.create_tenant("demo", "Demo")
    registry.create_tenant("other", "Other")
    foreign, _ = registry.create_key("other", [Scope.READ])
    result = afterword("key", "revoke", "demo", foreign.id)
    assert (result.exit_code, result.stderr) == (
        1,
        f"afterword: Tenant demo has no key {foreign.id}.\n",
    )
    stored = registry.get_key(foreign.id)
    assert stored is not None
    assert stored.revoked_at is None


@pytest.mark.parametrize("command", ["create", "list"])
def test_keys_need_a_tenant(afterword: Afterword, command: str) -> None:
    """Without such a tenant there is no key to make and no list to show."""
    result = afterword("key", command, "nobody")
    assert (result.exit_code, result.stdout, result.stderr) == (
        1,
        "",
        "afterword: There is no tenant nobody.\n",
    )


def test_an_unknown_scope_is_refused(afterword: Afterword) -> None:
    """A scope that does not exist is a usage error that names those that do."""
    result = afterword("key", "create", "demo", "--scope", "everything")
    assert "'everything' is not one of 'submit', 'read', 'admin'" in usage_error(result)


def test_keys_are_listed_in_parts(
    afterword: Afterword, registry: Registry, set_clock: SetClock
) -> None:
    """`--limit` shows the oldest keys, and says how to go on; `--after` shows the next ones."""
    registry.create_tenant("demo", "Demo")
    ids = []
    for _ in range(3):
        ids.append(registry.create_key("demo", [Scope.READ])[0].id)
        set_clock.advance(seconds=1)
    first = afterword("key", "list", "demo", "--limit", "2", "--json")
    assert [key["id"] for key in json.loads(first.stdout)] == ids[:2]
    assert first.stderr == f"There are more keys: --after {ids[1]}\n"
    rest = afterword("key", "list", "demo", "--after", ids[1], "--json")
    assert ([key["id"] for key in json.loads(rest.stdout)], rest.stderr) == (ids[2:], "")
    assert "is no key of the tenant" in usage_error(
        afterword("key", "list", "demo", "--after", "absent")
    )


def test_the_models_of_a_tenant_are_a_list(afterword: Afterword, registry: Registry) -> None:
    """`tenant models` shows all models at first, then those that are allowed, then all again."""
    registry.create_tenant("demo", "Demo")
    models = ("tenant", "models", "demo")
    assert afterword(*models).stdout == "all\n"
    listed = afterword(*models, "--allow", "small", "--allow", "large")
    assert (listed.stdout, listed.stderr) == (
        "large\nsmall\n",
        "Set the models of tenant demo; the old ones may hold for up to 60 seconds more.\n",
    )
    shown = afterword(*models, "--json").stdout
    assert json.loads(shown) == {"tenant": "demo", "models": ["large", "small"]}
    assert registry.get_rules("demo").models == frozenset({"small", "large"})
    assert afterword(*models, "--all").stdout == "all\n"
    assert registry.get_rules("demo").models is None
    assert "give no --allow beside it" in usage_error(
        afterword(*models, "--all", "--allow", "small")
    )
