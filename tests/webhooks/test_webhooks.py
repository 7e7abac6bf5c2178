"""The parts of webhooks: ids, secrets, signatures, waits and hosts."""

import base64
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import standardwebhooks

from afterword.errors import UnprocessableError
from afterword.generations import Status
from afterword.generations.ends import End
from afterword.runtime.outbound import Reply
from afterword.webhooks import SUBSCRIBABLE_EVENTS, Endpoint, Secret, is_delivery_id
from afterword.webhooks.deliveries import build_end_delivery, build_test_delivery
from afterword.webhooks.hosts import check_webhook_url, is_allowed_url
from afterword.webhooks.sending import retry_wait
from afterword.webhooks.signing import build_headers, new_secret
from tests.conftest import START, SetClock
from tests.harness.seeds import SEED_PARAMS, seeded

RETRIES = (5, 300, 1_800, 7_200, 18_000, 36_000, 36_000)
ENDPOINT = Endpoint(
    tenant="demo",
    id="wh_0123456789abcdefghij",
    url="https://hooks.example.com/",
    label="",
    events=SUBSCRIBABLE_EVENTS,
    created_at=START,
    secret_version=1,
)
ENDED = End(
    tenant="demo",
    id="019a6f3e-7c00-7000-8000-000000000001",
    dialect="native",
    flow="mail-reply",
    flow_version=3,
    status=Status.SUCCEEDED,
    reason=None,
    attempt=1,
    created_at=START,
    finished_at=START + timedelta(seconds=2),
    tokens=10,
    slot=None,
    notify=True,
    dispatched=False,
)


def test_the_signature_of_the_specifications_example() -> None:
    """The example of Standard Webhooks' own test suite has the signature that it should have."""
    delivery = build_end_delivery(ENDPOINT, ENDED)
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - the specification's
    moment = datetime.fromtimestamp(1_614_265_330, UTC)
    headers = build_headers(delivery, [Secret(secret, None)], moment)
    expected = standardwebhooks.Webhook(secret).sign(delivery.id, moment, delivery.body)
    assert headers["webhook-signature"] == expected
    assert headers["webhook-timestamp"] == "1614265330"


def test_an_end_has_one_delivery_an_endpoint(set_clock: SetClock) -> None:
    """The delivery of an end has the same id and body each time, and each endpoint has its own."""
    first = build_end_delivery(ENDPOINT, ENDED)
    set_clock.advance(hours=1)
    assert build_end_delivery(ENDPOINT, ENDED).id == first.id
    assert build_end_delivery(ENDPOINT, ENDED).body == first.body
    others = [
        build_end_delivery(other, ENDED).id
        for other in (
            replace(ENDPOINT, id="wh_00000000000000000000"),
            replace(ENDPOINT, tenant="other"),
        )
    ]
    assert len({first.id, *others}) == 3


@pytest.mark.usefixtures("set_clock")
def test_a_body_is_thin() -> None:
    """A body has ids, status, reason and times, and no text that anybody wrote."""
    assert build_end_delivery(ENDPOINT, ENDED).body == (
        '{"type": "generation.finished", "timestamp": "2026-11-10T09:00:02.000Z", "data": '
        '{"id": "019a6f3e-7c00-7000-8000-000000000001", "status": "succeeded", "reason": null, '
        '"flow": "mail-reply", "flow_version": 3, "dialect": "native", '
        '"created_at": "2026-11-10T09:00:00.000Z", "finished_at": "2026-11-10T09:00:02.000Z"}}'
    )


@pytest.mark.parametrize("seed", SEED_PARAMS)
def test_ids_sort_by_time(set_clock: SetClock, seed: int) -> None:
    """Deliveries are in the order of their events, and their ids are UUIDs of version 8."""
    chance = seeded(seed)
    ids = []
    for _ in range(200):
        set_clock.advance(milliseconds=chance.randrange(1, 10**9))
        ids.append(build_test_delivery(ENDPOINT).id)
    assert ids == sorted(ids)
    assert all(is_delivery_id(delivery_id) for delivery_id in ids)
    assert {uuid.UUID(delivery_id.removeprefix("msg_")).version for delivery_id in ids} == {8}


def test_secrets_are_random() -> None:
    """A secret is 32 random bytes in base64, as the specification has it."""
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert {len(base64.b64decode(secret.removeprefix("whsec_"))) for secret in secrets} == {32}


@pytest.mark.parametrize(("made", "waited"), [*enumerate(RETRIES, 1), (len(RETRIES) + 1, None)])
def test_waits_are_the_schedules(made: int, waited: int | None) -> None:
    """After each try it waits as long as the schedule says, and after the last it gives up."""
    assert retry_wait(made, RETRIES, None) == waited
    assert retry_wait(made, RETRIES, Reply(500, {})) == waited


def test_more_time_does_not_mean_more_tries() -> None:
    """After the last try Retry-After brings no other."""
    assert retry_wait(8, RETRIES, Reply(503, {"retry-after": "60"})) is None


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://hooks.example.com/a?b=c", True),
        ("https://hooks.example.com:443/", True),
        ("https://HOOKS.example.com./", True),
        ("https://hooks.example.com:8443/", False),
        ("http://hooks.example.com/", False),
        ("http://hooks.example.com:443/", False),
        ("https://a.hooks.example.com/", False),
        ("https://hooks.example.com.evil.example/", False),
        ("https://evil.example/hooks.example.com", False),
        ("https://hooks.example.com@evil.example/", False),
        ("https://evil.example#hooks.example.com", False),
        ("https://evil.example\\@hooks.example.com/", False),
        ("http://localhost:8000/", True),
        ("https://localhost:8000/", True),
        ("http://localhost:8001/", False),
        ("https://localhost/", False),
        ("", False),
        ("javascript:alert(1)", False),
    ],
)
def test_only_allowed_hosts_are_told(url: str, allowed: bool) -> None:  # noqa: FBT001 - a case
    """A submission's address is at a host that is allowed, to the letter, or it is refused."""
    hosts = {"hooks.example.com", "localhost:8000"}
    if allowed:
        check_webhook_url(url, hosts)
        assert is_allowed_url(url, hosts)
        return
    with pytest.raises(UnprocessableError) as refused:
        check_webhook_url(url, hosts)
    assert refused.value.field == "webhook_url"
