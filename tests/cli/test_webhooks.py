"""`afterword webhook` and `afterword tenant webhook-hosts`, under moto."""

import json
import re
from datetime import timedelta

import pytest

from afterword.services import services
from afterword.tenants.registry import Registry
from afterword.webhooks import SUBMISSIONS, Circuit, DeliveryStatus, Disabled, Try, replays
from afterword.webhooks.store import WebhookStore
from tests.cli.conftest import Afterword, usage_error
from tests.conftest import START, SetClock
from tests.harness.webhooks import messages

pytestmark = pytest.mark.usefixtures("stack", "set_clock")

URL = "https://hooks.example.com/afterword"
HOSTS_SET = (
    "Set the webhook hosts of tenant demo; the old ones may hold for up to 60 seconds more.\n"
)


@pytest.fixture(autouse=True)
def tenant(registry: Registry) -> None:
    """Create the tenant demo."""
    registry.create_tenant("demo", "Demo")


@pytest.fixture
def webhook(afterword: Afterword) -> str:
    """Add a webhook and return its id."""
    added = json.loads(afterword("webhook", "add", "demo", URL, "--json").stdout)
    return str(added["id"])


def test_a_webhook_is_added(afterword: Afterword) -> None:
    """Its secret alone is on standard output, so that a script can keep it."""
    added = afterword("webhook", "add", "demo", URL, "--label", "Help desk")
    assert added.exit_code == 0
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=\n", added.stdout)
    (endpoint,) = services().webhook_store.read_endpoints("demo")
    assert (endpoint.url, endpoint.label) == (URL, "Help desk")
    assert added.stderr == (
        f"This is the secret of webhook {endpoint.id} of tenant demo."
        " It is shown this once: keep it somewhere safe.\n"
    )
    assert services().registry.get_rules("demo").webhooks


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("add", "demo", "http://a.example/"), "url: must be an https address on port 443."),
        (("add", "nobody", URL), "There is no tenant nobody."),
        (("list", "nobody"), "There is no tenant nobody."),
        (("show", "demo", "wh_x"), "There is no such webhook."),
        (("remove", "demo", "wh_x"), "There is no such webhook."),
        (("rotate", "demo", "wh_x"), "There is no such webhook."),
        (("test", "demo", "wh_x"), "There is no such webhook."),
        (("deliveries", "demo", "wh_x"), "There is no such webhook."),
        (("replay", "demo", "wh_x", "msg_x"), "There is no such delivery."),
    ],
)
def test_what_cannot_be_is_told(
    afterword: Afterword, arguments: tuple[str, ...], message: str
) -> None:
    """A mistake is one line on standard error."""
    told = afterword("webhook", *arguments)
    assert (told.exit_code, told.stdout, told.stderr) == (1, "", f"afterword: {message}\n")


def test_webhooks_are_listed_and_shown(afterword: Afterword, webhook: str) -> None:
    """The list says which fail and which are disabled; the secret is in none of it."""
    listed = afterword("webhook", "list", "demo")
    heads, row = (re.split("  +", line) for line in listed.stdout.splitlines())
    assert heads == ["ID", "URL", "LABEL", "CREATED (UTC)", "STATE"]
    assert row == [webhook, URL, "2026-11-10 09:00", "enabled"]
    store = services().webhook_store
    store.mark_failing(store.get_endpoint("demo", webhook))
    assert "failing since 2026-11-10 09:00" in afterword("webhook", "show", "demo", webhook).stdout
    store.disable(store.get_endpoint("demo", webhook), Disabled.GONE)
    shown = json.loads(afterword("webhook", "show", "demo", webhook, "--json").stdout)
    assert (shown["enabled"], shown["disabled_reason"]) == (False, "gone")
    assert json.loads(afterword("webhook", "list", "demo", "--json").stdout) == [shown]
    assert "disabled: gone, 2026-11-10 09:00" in afterword("webhook", "list", "demo").stdout


def test_a_webhook_is_removed(afterword: Afterword, webhook: str) -> None:
    """The endpoint is gone, with its count."""
    removed = afterword("webhook", "remove", "demo", webhook)
    assert (removed.stdout, removed.stderr) == ("", f"Removed webhook {webhook} of tenant demo.\n")
    assert services().webhook_store.read_endpoints("demo") == []
    assert not services().registry.get_rules("demo").webhooks


def test_a_secret_is_rotated(afterword: Afterword, webhook: str) -> None:
    """The new secret alone is on standard output."""
    rotated = afterword("webhook", "rotate", "demo", webhook)
    assert rotated.stdout.startswith("whsec_")
    assert "For 24 hours" in rotated.stderr
    again = json.loads(afterword("webhook", "rotate", "demo", webhook, "--json").stdout)
    assert again["secret"] != rotated.stdout.strip()


def test_a_test_and_its_replay(afterword: Afterword, webhook: str, set_clock: SetClock) -> None:
    """Both print the delivery's id, which the log has, and its message is sent."""
    begun = afterword("webhook", "test", "demo", webhook).stdout.strip()
    assert messages() == [{"tenant": "demo", "id": f"{webhook}/{begun}"}]
    store = services().webhook_store
    claimed = store.claim(store.get_delivery("demo", webhook, begun), START + timedelta(seconds=45))
    assert claimed is not None
    tried = Try(set_clock(), 500, "the host answered with status 500", 0.1)
    store.record_end(claimed, DeliveryStatus.FAILED, tried)
    shown = afterword("webhook", "deliveries", "demo", webhook).stdout.splitlines()
    assert [word for word in shown[1].split("  ") if word] == [
        begun,
        "webhook.test",
        "2026-11-10 09:00",
        "failed",
        "1",
        "the host answered with status 500",
    ]
    (found,) = json.loads(afterword("webhook", "deliveries", "demo", webhook, "--json").stdout)
    assert (found["id"], found["status"]) == (begun, "failed")
    replayed = json.loads(afterword("webhook", "replay", "demo", webhook, begun, "--json").stdout)
    assert (replayed["id"], replayed["status"]) == (begun, "pending")
    assert messages() == [{"tenant": "demo", "id": f"{webhook}/{begun}"}]


def test_a_replay_of_all_failed_deliveries(
    afterword: Afterword, webhook: str, set_clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those since a time are begun anew, over all pages of the log, and their number is printed."""
    monkeypatch.setattr(replays, "MAX_LOOKED_AT", 2)
    for _ in range(3):
        begun = services().webhook_deliveries.start_test("demo", webhook)
        services().webhook_store.give_up(begun)
        set_clock.advance(hours=1)
    told = afterword("webhook", "replay", "demo", webhook, "--failed-since", "2026-11-10T10:00")
    assert (told.exit_code, told.stdout) == (0, "2\n")
    again = afterword("webhook", "replay", "demo", webhook, "--failed-since=2026-11-10", "--json")
    assert json.loads(again.stdout) == {"replayed": 1}
    for mistake in ([], ["msg_x", "--failed-since", "2026-11-10"]):
        told = afterword("webhook", "replay", "demo", webhook, *mistake)
        assert "give a DELIVERY, or --failed-since" in usage_error(told)


def test_an_open_circuit_is_shown(afterword: Afterword, webhook: str, set_clock: SetClock) -> None:
    """The owner sees that deliveries wait, and since when."""
    circuits = services().webhook_circuits
    failing = circuits.count_failure(Circuit(tenant="demo", name=webhook), 10)
    circuits.open(failing, set_clock() + timedelta(minutes=15), probe=None)
    shown = afterword("webhook", "show", "demo", webhook).stdout
    assert "circuit open: deliveries wait" in shown
    assert "open, 10 failures in a row, open since 2026-11-10 09:00" in shown
    assert "circuit open: deliveries wait" in afterword("webhook", "list", "demo").stdout


def test_a_long_log_is_read_to_its_end(
    afterword: Afterword, webhook: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages that the table cuts short leave no delivery out."""
    for _ in range(3):
        services().webhook_deliveries.start_test("demo", webhook)
    whole = WebhookStore.list_deliveries
    monkeypatch.setattr(
        WebhookStore,
        "list_deliveries",
        lambda store, tenant, endpoint, _, after=None: whole(store, tenant, endpoint, 1, after),
    )
    shown = json.loads(afterword("webhook", "deliveries", "demo", webhook, "--json").stdout)
    assert len(shown) == 3


def test_hosts_of_submissions(afterword: Afterword) -> None:
    """With the first hosts there is a secret, with others none, and without any all is gone."""
    assert afterword("tenant", "webhook-hosts", "demo").stdout == ""
    first = afterword("tenant", "webhook-hosts", "demo", "B.example.com", "a.example.com:8443")
    *hosts, secret = first.stdout.splitlines()
    assert hosts == ["a.example.com:8443", "b.example.com"]
    assert secret.startswith("whsec_")
    assert first.stderr.startswith(HOSTS_SET)
    second = afterword("tenant", "webhook-hosts", "demo", "c.example.com", "--json")
    expected = {"tenant": "demo", "hosts": ["c.example.com"], "secret": None}
    assert json.loads(second.stdout) == expected
    assert afterword("tenant", "webhook-hosts", "demo").stdout == "c.example.com\n"
    assert services().registry.get_rules("demo").webhook_hosts == {"c.example.com"}
    assert "as each submission says" in afterword("webhook", "show", "demo", SUBMISSIONS).stdout
    assert afterword("tenant", "webhook-hosts", "demo", "--none").stderr == HOSTS_SET
    assert services().registry.get_rules("demo").webhook_hosts == frozenset()
    assert services().webhook_store.read_endpoints("demo") == []


@pytest.mark.parametrize("host", ["https://a.example", "a.example/x", "*", "a b", "", "-"])
def test_what_is_no_host_is_refused(afterword: Afterword, host: str) -> None:
    """A host is a name, with a port or without."""
    told = afterword("tenant", "webhook-hosts", "demo", "--", host)
    assert told.exit_code == 1
    assert (
        told.stderr == f"afterword: host: must be a host such as hooks.example.com, not {host!r}.\n"
    )


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "169.254.169.254", "localhost:8443"])
def test_a_private_host_is_refused(afterword: Afterword, host: str) -> None:
    """A host that is private, or whose name leads inside, is refused when it is set."""
    told = afterword("tenant", "webhook-hosts", "demo", host)
    assert told.exit_code == 1
    assert told.stderr == (
        f"afterword: host: must be on the public internet: {host} leads to a private address.\n"
    )
    assert services().registry.get_rules("demo").webhook_hosts == frozenset()


def test_none_takes_no_host(afterword: Afterword) -> None:
    """Both at once are a mistake."""
    told = afterword("tenant", "webhook-hosts", "demo", "a.example", "--none")
    assert "give no HOST beside it" in usage_error(told)
