"""A tenant's limits: refusals, their contents, and the return of slots."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from afterword.engine import admission
from afterword.generations import Reason, Status, id_for_key
from afterword.limits import Admission, Limits, quotas, shards
from afterword.limits.quotas import Quotas, QuotaStatus
from afterword.runtime.clients import clients
from afterword.runtime.dynamodb import ConditionFailed, Item
from afterword.services import services
from tests.conftest import START, Event, LambdaContext, SetClock, Stored, Tenant
from tests.endpoints.conftest import refusal
from tests.harness.api import invoke
from tests.harness.deployment import REFERENCES
from tests.harness.fake_model import FakeModel, completion, saying

CONTEXT = LambdaContext()
TOKENS = completion("").tokens_in + completion("").tokens_out

type Submit = Callable[..., Mapping[str, Any]]


def limit(tenant_id: str = "demo", **given: int) -> None:
    """Set a tenant's limits, as the owner does."""
    services().registry.set_limits(tenant_id, Limits(**given))


def used(tenant_id: str = "demo") -> QuotaStatus:
    """Return a tenant's quotas."""
    return Quotas(clients().dynamodb, REFERENCES["QuotasTable"]).get_status(tenant_id)


def cuid(result: Mapping[str, Any]) -> str:
    """Return the id of an accepted submission."""
    assert result["statusCode"] == 200, result
    process: str = json.loads(result["body"])["process_cuid"]
    return process


def full(number: int) -> Mapping[str, Any]:
    """Return the whole result of a submission that finds no slot."""
    what = f"The limit is {number} open at once, and so many are."
    return refusal(429, what, **{"retry-after": "5"})


@pytest.fixture
def submit(submission_event: Event, set_clock: SetClock) -> Submit:
    """Return a function that submits the sample mail, with an idempotency key if one is given."""
    assert set_clock() == START

    def send(key: str | None = None) -> Mapping[str, Any]:
        event = {**submission_event, "headers": dict(submission_event["headers"])}
        if key is not None:
            event["headers"]["idempotency-key"] = key
        return invoke("submit_mail_generation", event, CONTEXT)

    return send


def test_requests_a_minute_are_limited(
    submit: Submit, set_clock: SetClock, stored: Callable[[], Stored]
) -> None:
    """Past the limit a submission is refused until the minute ends, and nothing is stored."""
    limit(requests_per_minute=2)
    set_clock.advance(seconds=40)
    for _ in range(2):
        cuid(submit())
    before = stored()
    refused = refusal(429, "The limit of submissions a minute is 2.", **{"retry-after": "20"})
    assert submit() == refused
    assert stored() == before
    set_clock.advance(seconds=20)
    cuid(submit())
    assert used() == QuotaStatus(requests=1, running=0, tokens=0)


def test_a_clock_that_is_behind_starts_no_new_minute(submit: Submit, set_clock: SetClock) -> None:
    """A function whose clock is still in the last minute counts into the new one."""
    limit(requests_per_minute=2)
    cuid(submit())
    set_clock.advance(seconds=-5)
    cuid(submit())
    assert submit()["statusCode"] == 429
    assert used().requests == 2


def test_open_generations_are_limited(
    submit: Submit,
    message_event: Callable[[str], Event],
    use_model: Callable[[FakeModel], None],
    stored: Callable[[], Stored],
) -> None:
    """With all slots taken a submission is refused, and accepted again after the next end."""
    limit(running_at_once=2)
    first, _ = cuid(submit()), cuid(submit())
    before = stored()
    assert submit() == full(2)
    assert stored() == before
    use_model(saying('{"nom_du_client": "Jean"}'))
    invoke("generate", message_event(first), CONTEXT)
    cuid(submit())
    assert submit() == full(2)


@pytest.mark.parametrize("end", ["canceled", "failed", "succeeded", "dead"])
def test_every_end_gives_its_slot_back(
    submit: Submit,
    message_event: Callable[[str], Event],
    use_model: Callable[[FakeModel], None],
    end: str,
) -> None:
    """However a generation ends, its slot is free again."""
    limit(running_at_once=1)
    generation_id = cuid(submit())
    match end:
        case "canceled":
            services().outbox.cancel("demo", generation_id)
        case "dead":
            services().outbox.fail_unclaimed(
                "demo", generation_id, Reason.DEAD_LETTER, "Too often."
            )
        case _:
            answer = '{"nom_du_client": "Jean"}' if end == "succeeded" else "no JSON"
            use_model(saying(answer))
            invoke("generate", message_event(generation_id), CONTEXT)
            assert services().store.get("demo", generation_id).status is Status(end)
    assert used().running == 0
    cuid(submit())


def test_tokens_of_the_month_are_limited(
    submit: Submit,
    message_event: Callable[[str], Event],
    use_model: Callable[[FakeModel], None],
    set_clock: SetClock,
    stored: Callable[[], Stored],
) -> None:
    """When a month's tokens are used up, submissions are refused until the next one begins."""
    limit(tokens_per_month=2 * TOKENS)
    use_model(saying('{"nom_du_client": "Jean"}'))
    for number in range(2):
        invoke("generate", message_event(cuid(submit())), CONTEXT)
        assert used().tokens == (number + 1) * TOKENS
    before = stored()
    until = round((datetime(2026, 12, 1, tzinfo=UTC) - START).total_seconds())
    assert submit() == refusal(
        429,
        f"The {2 * TOKENS} tokens of this month are used up.",
        **{"retry-after": str(until)},
    )
    assert stored() == before
    set_clock.advance(seconds=until)
    cuid(submit())
    assert used().tokens == 0


def test_tokens_belong_to_the_month_of_their_end(submit: Submit, set_clock: SetClock) -> None:
    """An end of a month's last second, dispatched in the next month, leaves that month alone."""
    limit(tokens_per_month=1_000_000)
    set_clock.moment = datetime(2027, 1, 31, 23, 59, 59, tzinfo=UTC)
    generation_id = cuid(submit())
    claimed = services().store.claim("demo", generation_id, set_clock() + timedelta(seconds=70))
    assert claimed is not None
    ended = services().store.succeed(claimed, completion('{"nom_du_client": "Jean"}'))
    assert ended is not None
    set_clock.advance(seconds=1)
    services().outbox.dispatch(ended)
    assert used() == QuotaStatus(requests=0, running=0, tokens=0)
    set_clock.advance(seconds=-1)
    assert used().tokens == TOKENS


def test_a_december_ends_with_its_year(submit: Submit, set_clock: SetClock) -> None:
    """The month after December is January."""
    limit(tokens_per_month=1)
    set_clock.moment = datetime(2026, 12, 31, 23, 59, tzinfo=UTC)
    usage = Quotas(clients().dynamodb, REFERENCES["QuotasTable"])
    generation_id = cuid(submit())
    services().outbox.cancel("demo", generation_id)
    ended = services().store.get_end("demo", generation_id)
    assert ended is not None
    slot = usage.admit("demo", generation_id, Limits(tokens_per_month=1))
    assert isinstance(slot, Admission)
    usage.count_end(replace(ended, slot=slot.slot, tokens=1))
    result = submit()
    assert (result["statusCode"], result["headers"]["retry-after"]) == (429, "60")


def test_a_useless_answer_counts_its_tokens(
    submit: Submit,
    message_event: Callable[[str], Event],
    use_model: Callable[[FakeModel], None],
) -> None:
    """The tokens of an unusable answer, and of its repair, are the tenant's as well."""
    limit(tokens_per_month=1_000_000)
    use_model(saying("no JSON"))
    invoke("generate", message_event(cuid(submit())), CONTEXT)
    assert used().tokens == 2 * TOKENS


def test_an_end_that_is_dispatched_twice_counts_once(
    submit: Submit,
    message_event: Callable[[str], Event],
    use_model: Callable[[FakeModel], None],
) -> None:
    """A second dispatch, as a sweeper may make, changes nothing."""
    limit(tokens_per_month=1_000_000)
    use_model(saying('{"nom_du_client": "Jean"}'))
    generation_id = cuid(submit())
    invoke("generate", message_event(generation_id), CONTEXT)
    ended = services().store.get_end("demo", generation_id)
    assert ended is not None
    services().outbox.dispatch(ended)
    assert used() == QuotaStatus(requests=1, running=0, tokens=TOKENS)


@pytest.mark.parametrize("dispatched", [False, True])
def test_who_is_too_late_with_the_same_key_counts_nothing(
    submit: Submit,
    set_clock: SetClock,
    load_event: Callable[[str], Event],
    monkeypatch: pytest.MonkeyPatch,
    *,
    dispatched: bool,
) -> None:
    """A request that is overtaken by its own repetition neither keeps a slot nor counts again."""
    limit(running_at_once=1, tokens_per_month=1_000_000)
    store = services().store
    exists = store.exists

    def live_a_whole_life(tenant_id: str, generation_id: str) -> bool:
        there = exists(tenant_id, generation_id)
        monkeypatch.setattr(store, "exists", exists)
        cuid(submit("case-457"))
        claim = store.claim(tenant_id, generation_id, set_clock() + timedelta(seconds=70))
        assert claim is not None
        ended = store.succeed(claim, completion("Dear Ada,"))
        assert ended is not None
        if dispatched:
            services().outbox.dispatch(ended)
        else:
            Quotas(clients().dynamodb, REFERENCES["QuotasTable"]).count_end(ended)
        return there

    monkeypatch.setattr(store, "exists", live_a_whole_life)
    cuid(submit("case-457"))
    assert (used().running, used().tokens) == (0, TOKENS)
    set_clock.advance(minutes=3)
    invoke("sweep", load_event("sweep"), CONTEXT)
    assert (used().running, used().tokens) == (0, TOKENS)


def test_another_request_with_the_key_of_an_ended_one_keeps_no_slot(
    submission_event: Event, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refused request gives back the slot that it had taken."""
    limit(running_at_once=1)
    services().outbox.cancel("demo", cuid(submit("case-457")))
    monkeypatch.setattr(services().store, "exists", lambda *_: False)  # asked too early
    submission_event["body"] = '{"subject": "Another", "body": "mail"}'
    assert submit("case-457")["statusCode"] == 422
    assert used().running == 0


def test_a_repeated_request_needs_no_slot(submit: Submit) -> None:
    """With its idempotency key a client gets its answer again, however full it is."""
    limit(running_at_once=1, requests_per_minute=1)
    generation_id = cuid(submit("case-457"))
    assert cuid(submit("case-457")) == generation_id
    assert submit("case-458")["statusCode"] == 429
    services().outbox.cancel("demo", generation_id)
    assert cuid(submit("case-457")) == generation_id
    assert used() == QuotaStatus(requests=1, running=0, tokens=0)


def test_the_slot_of_a_submission_that_was_never_stored_comes_back(
    submit: Submit, set_clock: SetClock, cut_off: Callable[[str], None]
) -> None:
    """A slot is given back a minute after its process failed, when a submission needs it."""
    limit(running_at_once=1)
    usage = Quotas(clients().dynamodb, REFERENCES["QuotasTable"])
    lost = id_for_key("demo", "lost")
    assert isinstance(usage.admit("demo", lost, Limits(running_at_once=1)), Admission)
    assert submit() == full(1)
    set_clock.advance(seconds=60)
    assert submit() == full(1)
    set_clock.advance(milliseconds=1)
    cuid(submit())
    cut_off("dynamodb.BatchGetItem")
    set_clock.advance(minutes=2)
    assert submit()["statusCode"] == 503
    main = clients().dynamodb.get_item(
        TableName=REFERENCES["QuotasTable"], Key={"pk": {"S": "demo"}}
    )
    assert len(main["Item"]["open"]["M"]) == 1


def test_the_slot_of_an_end_that_was_not_dispatched_comes_back(
    submit: Submit, set_clock: SetClock
) -> None:
    """A generation that has ended needs no sweeper to give its slot to the next."""
    limit(running_at_once=1)
    services().store.cancel("demo", cuid(submit()))
    assert submit() == full(1)
    set_clock.advance(seconds=61)
    generation_id = cuid(submit())
    services().outbox.cancel("demo", generation_id)
    assert used().running == 0


def test_an_end_that_the_version_before_dispatched_gives_slot_and_tokens_back(
    submit: Submit, set_clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slot in a further item, which an older worker cannot give back, comes back when needed."""
    monkeypatch.setattr(shards, "MAIN_SLOTS", 0)
    limit(running_at_once=1)
    store, generation_id = services().store, cuid(submit())
    claim = store.claim("demo", generation_id, set_clock() + timedelta(seconds=70))
    assert claim is not None
    assert store.succeed(claim, completion("Dear Ada,")) is not None
    store.mark_dispatched("demo", generation_id)
    assert used() == QuotaStatus(requests=1, running=1, tokens=0)
    set_clock.advance(seconds=61)
    cuid(submit())
    assert used() == QuotaStatus(requests=1, running=1, tokens=TOKENS)


def test_a_long_line_of_old_slots_is_looked_at_from_its_end(
    submit: Submit, set_clock: SetClock
) -> None:
    """The oldest slots are looked at first, a few at a time."""
    limit(running_at_once=admission.CHECKED_SLOTS + 1)
    ids = []
    for _ in range(admission.CHECKED_SLOTS + 1):
        ids.append(cuid(submit()))
        set_clock.advance(milliseconds=1)
    set_clock.advance(minutes=2)
    services().store.cancel("demo", ids[-1])
    assert submit()["statusCode"] == 429
    services().store.cancel("demo", ids[0])
    set_clock.advance(seconds=quotas.FULL_TIME.total_seconds())
    cuid(submit())


def test_tenants_do_not_share_limits(submit: Submit, their_submission_event: Event) -> None:
    """One tenant at its limit keeps no other from submitting."""
    limit(running_at_once=1)
    limit("other", running_at_once=1)
    cuid(submit())
    assert submit() == full(1)
    cuid(invoke("submit_mail_generation", their_submission_event, CONTEXT))
    assert (used().running, used("other").running) == (1, 1)


def test_limits_of_submissions_do_not_limit_reading(
    submit: Submit, reading_event: Callable[[str], Event]
) -> None:
    """A tenant with no slot left can still read."""
    limit(running_at_once=1, requests_per_minute=1, tokens_per_month=1)
    generation_id = cuid(submit())
    assert submit()["statusCode"] == 429
    assert invoke("get_mail_generation", reading_event(generation_id), CONTEXT)["statusCode"] == 200


def test_limits_may_change_while_generations_are_open(
    tenant: Tenant, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A generation accepted without limits takes no slot; one with a slot gives it back later."""
    monkeypatch.setattr("afterword.tenants.rules.CACHE_SECONDS", 0.0)
    before = cuid(submit())
    limit(running_at_once=1)
    during = cuid(submit())
    assert submit() == full(1)
    limit()
    cuid(submit())
    assert used().running == 1
    for generation_id in (before, during):
        services().outbox.cancel(tenant.id, generation_id)
    assert used().running == 0


def test_limits_are_remembered_for_a_minute(
    submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change of limits is seen within 60 seconds."""
    seconds = 100.0
    monkeypatch.setattr("afterword.tenants.rules.time", SimpleNamespace(monotonic=lambda: seconds))
    cuid(submit())
    limit(running_at_once=1)
    seconds = 159.9
    cuid(submit())
    assert used().running == 0
    seconds = 160.1
    cuid(submit())
    assert used().running == 1


def test_too_many_at_the_same_moment_are_refused(
    submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When others are always quicker, a submission gives up and says so."""
    limit(running_at_once=10)
    item: Item = {"open": {"M": {}}, "minute": {"N": "99999999999"}, "requests": {"N": "0"}}
    monkeypatch.setattr(Quotas, "_write_count", lambda *_, **__: ConditionFailed(item))
    what = "Too many submissions at the same moment."
    assert submit() == refusal(429, what, **{"retry-after": "1"})


def test_a_slot_lasts_as_long_as_its_generation(submit: Submit, set_clock: SetClock) -> None:
    """However long it waits, an open generation keeps its slot."""
    limit(running_at_once=1)
    cuid(submit())
    set_clock.advance(minutes=59)
    assert submit() == full(1)
    assert timedelta(minutes=59) > admission.STORE_GRACE
