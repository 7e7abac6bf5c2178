"""Submitting again what failed: a new generation that names the old one."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from afterword.errors import ConflictError, NotFoundError
from afterword.generations import Reason, Status, Submission
from afterword.limits import LimitedError, Limits
from afterword.runtime.clients import clients
from afterword.runtime.payloads import INLINE_BYTES
from afterword.services import services
from tests.conftest import FLOW, SetClock, Stored, Tenant
from tests.harness.fake_model import completion

SUBMISSION = Submission(
    dialect="dialonce",
    flow=FLOW,
    inputs={"subject": "A claim", "body": "x" * 2 * INLINE_BYTES},
    template="Dear [name],",
    external={"external_ref": '"case-457"'},
    deadline=timedelta(minutes=10),
)


@pytest.fixture
def dead(tenant: Tenant, set_clock: SetClock) -> str:
    """Return the id of a generation that ended as a dead letter."""
    assert set_clock()
    generation_id = services().submitter.submit(tenant.id, SUBMISSION)
    facts = {"MessageId": "m-1", "ApproximateReceiveCount": "1000"}
    services().outbox.fail_unclaimed("demo", generation_id, Reason.DEAD_LETTER, "Too often.", facts)
    return generation_id


def test_a_retry_is_a_new_generation_of_the_same_submission(dead: str, set_clock: SetClock) -> None:
    """A retry names the old generation, has the same submission and its own deadline."""
    before = services().store.get("demo", dead)
    set_clock.advance(hours=2)
    retry_id = services().submitter.retry("demo", dead).id
    retry = services().store.get("demo", retry_id)
    assert (retry.id != dead, retry.retry_of, retry.status) == (True, dead, Status.QUEUED)
    assert retry.deadline_at == set_clock() + timedelta(minutes=10)
    assert services().store.get_submission("demo", retry_id) == (SUBMISSION, Status.QUEUED)
    assert services().store.get("demo", dead) == before
    assert list(services().listings.list_dead_letters("demo")) == []


def test_a_retry_is_sent_to_the_worker(dead: str, stored: Callable[[], Stored]) -> None:
    """A retry is a submission like any other."""
    before = stored().messages
    services().submitter.retry("demo", dead)
    assert stored().messages == before + 1


def test_however_often_it_is_retried_it_is_one_generation(
    dead: str, stored: Callable[[], Stored]
) -> None:
    """Asking twice for a retry makes one, and a retry that failed can be retried itself."""
    first = services().submitter.retry("demo", dead).id
    assert services().submitter.retry("demo", dead).id == first
    assert stored().items == 2
    services().outbox.cancel("demo", first)
    second = services().submitter.retry("demo", first).id
    assert services().store.get("demo", second).retry_of == first


def test_only_what_failed_or_was_canceled_is_retried(tenant: Tenant) -> None:
    """An open or succeeded generation is not retried."""
    generation_id = services().submitter.submit(tenant.id, SUBMISSION)
    with pytest.raises(ConflictError, match="is queued: only a failed"):
        services().submitter.retry("demo", generation_id)
    claim = services().store.claim(
        "demo", generation_id, services().store.get("demo", generation_id).deadline_at
    )
    assert claim is not None
    services().outbox.succeed(claim, completion("Dear Ada,"))
    with pytest.raises(ConflictError, match="is succeeded: only a failed"):
        services().submitter.retry("demo", generation_id)


def test_a_foreign_generation_cannot_be_retried(dead: str, other_tenant: Tenant) -> None:
    """Another tenant's generation looks absent."""
    with pytest.raises(NotFoundError):
        services().submitter.retry(other_tenant.id, dead)


def test_a_retry_needs_a_slot(dead: str, stored: Callable[[], Stored]) -> None:
    """The tenant's limits hold for retries too, and the dead letter stays where it is."""
    services.cache_clear()
    services().registry.set_limits("demo", Limits(running_at_once=1))
    services().submitter.submit("demo", SUBMISSION)
    before = stored()
    with pytest.raises(LimitedError):
        services().submitter.retry("demo", dead)
    assert stored() == before
    assert [letter.id for letter in services().listings.list_dead_letters("demo")] == [dead]


def test_the_retry_of_a_lost_one_is_found_again(
    dead: str, cut_off: Callable[[str], None], stored: Callable[[], Stored]
) -> None:
    """When a retry's answer is lost after it was accepted, the next try finds that one."""
    assert clients().dynamodb
    cut_off("sqs.SendMessage")
    first = services().submitter.retry("demo", dead).id
    assert services().submitter.retry("demo", dead).id == first
    assert stored().items == 2
