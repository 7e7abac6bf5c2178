"""Submitting again through the native API: the handler with its event, under moto."""

from collections.abc import Callable

from afterword.generations import Reason, id_for_retry
from afterword.limits import Limits
from afterword.services import services
from tests.conftest import SetClock, Stored, Tenant
from tests.harness.native_generations import (
    HEADERS,
    Native,
    generation,
    problem,
)


def failed(native: Native) -> str:
    """Return the id of a generation that has failed."""
    generation_id = native.submitted(external_ref="case-457", deadline_seconds=60)
    services().outbox.fail_unclaimed("demo", generation_id, Reason.DEADLINE, "Too late.")
    return generation_id


def test_what_failed_is_submitted_again(
    native: Native, set_clock: SetClock, stored: Callable[[], Stored]
) -> None:
    """A retry is a new generation that names the old one, and one however often it is asked for."""
    old = failed(native)
    set_clock.advance(minutes=5)
    result = native.ask("retry_generation", old)
    new = id_for_retry("demo", old)
    assert result == {
        "statusCode": 202,
        "headers": {**HEADERS, "location": f"/v1/generations/{new}", "retry-after": "1"},
        "body": generation(
            new,
            created_at="2026-11-10T09:05:00.000Z",
            deadline_at="2026-11-10T09:06:00.000Z",
            external_ref="case-457",
            retry_of=old,
        ),
    }
    assert native.ask("retry_generation", old) == result
    assert stored().items == 2
    native.ask("cancel_generation", new)
    again = native.ask("retry_generation", old)
    assert (again["statusCode"], again["body"]["status"]) == (200, "canceled")


def test_only_what_failed_or_was_canceled_is_submitted_again(
    native: Native, stored: Callable[[], Stored]
) -> None:
    """A retry of an open generation is a conflict, and nothing is submitted."""
    generation_id = native.submitted()
    result = native.ask("retry_generation", generation_id)
    assert result == problem(
        409,
        f"Generation {generation_id} is queued: only a failed or canceled one can be submitted"
        " again.",
    )
    assert stored().items == 1


def test_a_retry_counts_against_the_limits(tenant: Tenant, native: Native) -> None:
    """A retry tells the rest of the limits, and is refused where nothing is left."""
    old, older = failed(native), failed(native)
    services.cache_clear()
    services().registry.set_limits(tenant.id, Limits(running_at_once=1))
    headers = native.ask("retry_generation", old)["headers"]
    assert headers["ratelimit"] == '"running-at-once";r=0'
    refused = native.ask("retry_generation", older)
    assert (refused["statusCode"], refused["body"]["violated-policies"]) == (
        429,
        ["running-at-once"],
    )


def test_a_retry_that_was_deleted_is_not_made_again(native: Native) -> None:
    """Its owner wanted it gone: to retry the old one once more is a conflict."""
    old = failed(native)
    new = native.ask("retry_generation", old)["body"]["id"]
    native.ask("cancel_generation", new)
    native.ask("delete_generation", new)
    refused = problem(409, "Its generation was deleted, and is not made again.")
    assert native.ask("retry_generation", old) == refused
