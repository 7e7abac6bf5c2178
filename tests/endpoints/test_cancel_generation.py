"""Canceling through the native API: the handler with its event, under moto."""

from datetime import timedelta

from afterword import clock
from afterword.limits import Limits
from afterword.services import services
from tests.conftest import SetClock, Tenant
from tests.harness.fake_model import completion
from tests.harness.native_generations import (
    HEADERS,
    Native,
    generation,
    problem,
)


def test_an_open_generation_is_canceled(native: Native, set_clock: SetClock) -> None:
    """An open generation is canceled at once, and another cancel changes nothing."""
    generation_id = native.submitted()
    set_clock.advance(seconds=1.5)
    path = f"/v1/generations/{generation_id}"
    expected = {
        "statusCode": 200,
        "headers": HEADERS,
        "body": generation(
            generation_id,
            status="canceled",
            finished_at="2026-11-10T09:00:01.500Z",
            links={"self": path, "retry": f"{path}/retry"},
        ),
    }
    assert native.ask("cancel_generation", generation_id) == expected
    set_clock.advance(seconds=1)
    assert native.ask("cancel_generation", generation_id) == expected


def test_what_has_ended_is_not_canceled(native: Native) -> None:
    """A result stays: to cancel it is a conflict."""
    generation_id = native.submitted()
    claim = services().store.claim("demo", generation_id, clock.now() + timedelta(minutes=1))
    assert claim is not None
    services().outbox.succeed(claim, completion("In May."))
    refused = problem(409, "The generation has succeeded already.")
    assert native.ask("cancel_generation", generation_id) == refused
    assert native.ask("get_generation", generation_id)["body"]["output"] == "In May."


def test_what_a_worker_holds_is_canceled(native: Native) -> None:
    """A worker's hands are no hindrance, and what it makes is not stored."""
    generation_id = native.submitted()
    claim = services().store.claim("demo", generation_id, clock.now() + timedelta(minutes=1))
    assert claim is not None
    body = native.ask("cancel_generation", generation_id)["body"]
    assert (body["status"], body["attempts"]) == ("canceled", 1)
    assert not services().outbox.succeed(claim, completion("In May."))


def test_a_canceled_generation_gives_its_slot_back(tenant: Tenant, native: Native) -> None:
    """Where so many may be open at once, there is room for another one."""
    services().registry.set_limits(tenant.id, Limits(running_at_once=1))
    generation_id = native.submitted()
    assert native.submit()["statusCode"] == 429
    native.ask("cancel_generation", generation_id)
    assert native.submit()["statusCode"] == 202
