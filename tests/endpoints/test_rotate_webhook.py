"""Rotating a webhook's secret: the handler with its event, under moto."""

from collections.abc import Callable

from afterword.runtime.clients import clients
from afterword.services import services
from afterword.webhooks import Secret
from tests.conftest import SetClock
from tests.harness.deployment import REFERENCES
from tests.harness.webhooks import Webhooks, problem


def held(webhooks: Webhooks, webhook: str) -> tuple[Secret, ...]:
    """Return the secrets that count."""
    version = webhooks.endpoint(webhook).secret_version
    return services().webhook_secrets.get("demo", webhook, version)


def test_a_new_secret_is_shown_once(webhooks: Webhooks, set_clock: SetClock) -> None:
    """The new secret is shown with the endpoint, and the old one counts for a day more."""
    created = webhooks.created()
    old = created.pop("secret")
    result = webhooks.call("rotate_webhook", created["id"])
    new = result["body"].pop("secret")
    assert (result["statusCode"], result["body"]) == (200, created)
    assert new != old
    newest, older = held(webhooks, created["id"])
    assert (newest.text, newest.until, older.text) == (new, None, old)
    assert older.until is not None
    assert (older.until - set_clock()).total_seconds() == 86_400
    assert "secret" not in webhooks.call("get_webhook", created["id"])["body"]


def test_a_rotation_in_a_rotation_keeps_all(webhooks: Webhooks, set_clock: SetClock) -> None:
    """A secret counts for its day, though others come after it, and then no more."""
    created = webhooks.created()
    secrets = [created["secret"]]
    for _ in range(3):
        set_clock.advance(hours=10)
        secrets.append(webhooks.call("rotate_webhook", created["id"])["body"]["secret"])
    assert [each.text for each in held(webhooks, created["id"])] == secrets[::-1]
    set_clock.advance(hours=10)
    webhooks.call("rotate_webhook", created["id"])
    assert [each.text for each in held(webhooks, created["id"])][1:] == secrets[:0:-1]


def test_a_secret_that_nobody_was_shown_never_counts(
    webhooks: Webhooks, cut_off: Callable[[str], None]
) -> None:
    """A rotation that dies before it is noted leaves the secrets as they were."""
    created = webhooks.created()
    cut_off("dynamodb.UpdateItem")
    refused = problem(503, "Try again in a moment.", retry_after="1")
    assert webhooks.call("rotate_webhook", created["id"]) == refused
    name = f"/afterword/{REFERENCES['WebhooksTable']}/demo/{created['id']}"
    assert clients().ssm.get_parameter(Name=name)["Parameter"]["Version"] == 2
    assert [each.text for each in held(webhooks, created["id"])] == [created["secret"]]


def test_a_rotation_whose_answer_was_lost_is_known(
    webhooks: Webhooks, lose_answer: Callable[[str], None]
) -> None:
    """A rotation that botocore repeats shows its secret, and is no conflict with itself."""
    created = webhooks.created()
    lose_answer("dynamodb.UpdateItem")
    secret = webhooks.call("rotate_webhook", created["id"])["body"]["secret"]
    assert held(webhooks, created["id"])[0].text == secret


def test_two_rotations_at_once(webhooks: Webhooks) -> None:
    """Of two rotations one counts, and the other is told to try again."""
    created = webhooks.created()
    endpoint = webhooks.endpoint(created["id"])
    services().webhook_store.rotate(endpoint, 7)
    store = services().webhook_store
    store.get_endpoint = lambda *_: endpoint  # type: ignore[method-assign] # as it was read before
    refused = problem(409, "Another request rotated the secret: try again.")
    assert webhooks.call("rotate_webhook", created["id"]) == refused
