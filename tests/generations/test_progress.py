"""The progress of many generations at once: their statuses, and the times of their steps."""

from datetime import timedelta

import pytest

from afterword import clock
from afterword.generations import Status, Submission
from afterword.generations.claims import Claim
from afterword.generations.progress import Progress
from afterword.runtime.clients import clients
from afterword.services import services
from tests.conftest import FLOW, START, Call, SetClock, Tenant
from tests.harness.deployment import REFERENCES
from tests.harness.fake_model import completion

TABLE = REFERENCES["GenerationsTable"]
MAIL = Submission(dialect="native", flow=FLOW, inputs={"text": "Hi"}, template=None, external={})


@pytest.fixture
def generation_id(tenant: Tenant, set_clock: SetClock) -> str:
    """Return the id of a generation that was submitted at START."""
    assert set_clock() == START
    return services().submitter.submit(tenant.id, MAIL)


def progress(generation_id: str) -> Progress | None:
    """Return the progress of a generation."""
    return services().store.get_progress("demo", [generation_id])[generation_id]


def claim(generation_id: str) -> Claim:
    """Claim a generation for a minute."""
    claimed = services().store.claim("demo", generation_id, clock.now() + timedelta(minutes=1))
    assert claimed is not None
    return claimed


def test_a_generation_has_the_times_of_its_claim_and_its_end(
    generation_id: str, set_clock: SetClock
) -> None:
    """A generation's progress has its status, and the times of submission, first claim and end."""
    queued = Progress(status=Status.QUEUED, created_at=START)
    assert progress(generation_id) == queued
    set_clock.advance(seconds=2)
    claimed = claim(generation_id)
    running = Progress(
        status=Status.RUNNING,
        created_at=START,
        claimed_at=START + timedelta(seconds=2),
        attempted=True,
    )
    assert progress(generation_id) == running
    set_clock.advance(seconds=3)
    services().outbox.succeed(claimed, completion("Hi"))
    ended = progress(generation_id)
    assert ended is not None
    assert (ended.status, ended.finished_at) == (Status.SUCCEEDED, START + timedelta(seconds=5))
    assert (ended.claimed_at, ended.returned) == (running.claimed_at, False)


def test_a_throttled_generation_has_come_back(generation_id: str, set_clock: SetClock) -> None:
    """A generation that the model sent back says so, and keeps the time of its first claim."""
    services().store.requeue(claim(generation_id), failed=False)
    waiting = progress(generation_id)
    assert waiting is not None
    assert (waiting.status, waiting.attempted, waiting.returned) == (Status.QUEUED, True, True)
    set_clock.advance(minutes=5)
    claim(generation_id)
    running = progress(generation_id)
    assert running is not None
    assert (running.claimed_at, running.returned) == (START, True)


def test_an_attempt_that_ends_between_two_steps_has_not_come_back(generation_id: str) -> None:
    """A further attempt for a flow's next step is no sign of a model that refuses."""
    further = services().store.finish_step(claim(generation_id), completion("One"))
    assert further is not None
    services().store.requeue(further, failed=False)
    waiting = progress(generation_id)
    assert waiting is not None
    assert (waiting.attempted, waiting.returned) == (True, False)


def test_absent_generations_are_none_and_unread_ones_left_out(
    generation_id: str, calls: list[Call], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The read is consistent; an unread generation is not taken for an absent one."""
    absent = "019a6f3e-7c00-7000-8000-00000000000f"
    assert services().store.get_progress("demo", [absent]) == {absent: None}
    assert calls[-1].params["RequestItems"][TABLE]["ConsistentRead"] is True
    key = {"pk": {"S": f"demo#{generation_id}"}}
    answer = {"Responses": {}, "UnprocessedKeys": {TABLE: {"Keys": [key]}}}
    monkeypatch.setattr(clients().dynamodb, "batch_get_item", lambda **_: answer)  # moto reads all
    assert services().store.get_progress("demo", [generation_id]) == {}
