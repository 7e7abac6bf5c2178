"""The limit of reads over HTTP: each request that accepts nothing counts, in every dialect."""

from collections.abc import Callable

import pytest

from afterword.engine.waiting import Waited, Waiter
from afterword.limits import Limits
from afterword.services import services
from afterword.tenants.keys import Scope
from tests.conftest import Call, Event, LambdaContext, SetClock, Tenant
from tests.endpoints.conftest import refusal
from tests.harness.api import Api, invoke
from tests.harness.native_generations import PROBLEM, Native, problem
from tests.harness.promptitude import put_flow

ABSENT = "019a6f3e-7c00-7000-8000-000000000009"
CONTEXT = LambdaContext()


def limit(**given: int) -> None:
    """Set the tenant's limits, as the owner does, before its key is read."""
    services().registry.set_limits("demo", Limits(**given))


def reads() -> int:
    """Return the requests of this minute that accepted nothing."""
    return services().quotas.get_status("demo").reads


def test_whatever_accepts_nothing_counts(tenant: Tenant, native: Native) -> None:
    """Reads, lists, polls and refusals count each; an accepted submission does not."""
    limit(reads_per_minute=50)
    generation_id = native.submitted()
    assert reads() == 0
    read_only = Native(native.load_event, tenant.key_with(Scope.READ))
    requests: list[tuple[Callable[[], object], int]] = [
        (lambda: native.ask("get_generation", generation_id), 200),
        (native.page, 200),
        (lambda: native.ask("get_generation", ABSENT), 404),
        (lambda: native.submit({"flow": "mail-reply", "inputs": {}, "no": 1}), 422),
        (lambda: native.submit("no JSON"), 400),
        (read_only.submit, 403),
        (lambda: native.ask("cancel_generation", generation_id), 200),
    ]
    for count, (request, status) in enumerate(requests, 1):
        assert request()["statusCode"] == status  # type: ignore[index] # a result
        assert reads() == count


def test_an_accepted_submission_that_fails_counts_nothing(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that was accepted, and has no result, is no read, though its answer is 4xx."""
    step = {"name": "step1", "prompt": "A joke about {{topic}}."}
    put_flow(tenant, id="jokes", inputs=[{"name": "topic"}], steps=[step])
    limit(reads_per_minute=50)

    def wait(_waiter: object, tenant_id: str, generation_id: str, _deadline: object) -> Waited:
        services().store.cancel(tenant_id, generation_id)
        return Waited(services().store.get(tenant_id, generation_id), whole=True)

    monkeypatch.setattr(Waiter, "wait", wait)
    run = Api(tenant.key, {"flowId": "jokes"})
    assert run.call("generate_flow", {"flow": {"inputs": {"topic": "x"}}})["statusCode"] == 409
    assert reads() == 0
    assert run.call("generate_flow", {"flow": {"inputs": {}}})["statusCode"] == 422
    assert reads() == 1


def test_a_refusal_by_another_limit_counts(tenant: Tenant, native: Native) -> None:
    """A submission that finds no slot counts as a read."""
    assert tenant.id == "demo"
    limit(reads_per_minute=50, running_at_once=1)
    native.submitted()
    assert native.submit()["statusCode"] == 429
    assert reads() == 1


def test_above_the_limit_every_request_is_refused(
    tenant: Tenant, native: Native, set_clock: SetClock, calls: list[Call]
) -> None:
    """429 comes with the limit and the rest of the minute, without a call; then all is well."""
    assert tenant.id == "demo"
    limit(reads_per_minute=2)
    generation_id = native.submitted()
    set_clock.advance(seconds=40)
    for _ in range(2):
        assert native.ask("get_generation", generation_id)["statusCode"] == 200
    calls.clear()
    expected = problem(
        429,
        "The limit of reads a minute is 2.",
        type="https://iana.org/assignments/http-problem-types#quota-exceeded",
        title="A limit of the tenant is reached",
        **{"violated-policies": ["reads-per-minute"]},
    )
    limits = {
        "retry-after": "20",
        "ratelimit-policy": '"reads-per-minute";q=2;w=60',
        "ratelimit": '"reads-per-minute";r=0;t=20',
    }
    expected = {**expected, "headers": {**PROBLEM, **limits}}
    assert native.ask("get_generation", generation_id) == expected
    assert native.submit() == expected
    assert calls == []
    set_clock.advance(seconds=20)
    assert native.ask("get_generation", generation_id)["statusCode"] == 200
    native.submitted()


def test_a_dialect_says_it_in_its_own_shape(
    tenant: Tenant, reading_event: Callable[[str], Event], set_clock: SetClock
) -> None:
    """The refusal has the shape of the dialect's errors, with Retry-After."""
    assert (tenant.id, set_clock().second) == ("demo", 0)
    limit(reads_per_minute=1)
    invoke("get_mail_generation", reading_event(ABSENT), CONTEXT)
    expected = refusal(429, "The limit of reads a minute is 1.", **{"retry-after": "60"})
    assert invoke("get_mail_generation", reading_event(ABSENT), CONTEXT) == expected


def test_without_a_limit_no_read_is_counted(native: Native, calls: list[Call]) -> None:
    """A tenant without that limit pays nothing for it, whatever other limits there are."""
    limit(running_at_once=5, requests_per_minute=5)
    generation_id = native.submitted()
    calls.clear()
    native.ask("get_generation", generation_id)
    native.ask("get_generation", ABSENT)
    tables = [(call.operation, call.params["TableName"]) for call in calls]
    assert tables.count(("dynamodb.GetItem", "generations")) == 2
    assert "quotas" not in {table for _, table in tables}


def test_one_tenants_reads_are_no_others(
    tenant: Tenant, native: Native, other_tenant: Tenant
) -> None:
    """A tenant above its limit keeps no other from reading."""
    assert tenant.id == "demo"
    limit(reads_per_minute=1)
    services().registry.set_limits(other_tenant.id, Limits(reads_per_minute=10))
    other = Native(native.load_event, other_tenant.key)
    for _ in range(2):
        native.page()
    assert native.page()["statusCode"] == 429
    assert other.page()["statusCode"] == 200
