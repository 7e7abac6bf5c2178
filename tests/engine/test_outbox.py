"""The outbox: ends of generations, and their dispatch."""

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from afterword import clock
from afterword.engine.outbox import Outbox
from afterword.generations import Reason, Status, Submission, SubmissionOptions
from afterword.services import services
from tests.conftest import Call, SetClock
from tests.harness.deployment import REFERENCES
from tests.harness.fake_model import completion

ID = "019a6f3e-7c00-7000-8000-000000000001"
SUBMISSION = Submission(
    dialect="dialonce", flow="mail-reply", inputs={"body": "Hello"}, template=None, external={}
)
BOTH = {"limited": True, "notify": True}
WRITE = "dynamodb.UpdateItem"


@pytest.fixture
def outbox(aws: None, set_clock: SetClock) -> Outbox:  # noqa: ARG001 - for their effect
    return services().outbox


def put(*, limited: bool = False, notify: bool = False) -> None:
    """Queue a generation."""
    slot = "1794301200000-00000000" if limited else None
    options = SubmissionOptions(
        flow_version=1, retention=timedelta(days=30), slot=slot, notify=notify
    )
    services().store.put("demo", ID, SUBMISSION, options)


def end(outbox: Outbox, how: str) -> object:
    """End the generation in one of the ways that there are."""
    if how == "cancel":
        return outbox.cancel("demo", ID)
    if how == "fail unclaimed":
        return outbox.fail_unclaimed("demo", ID, Reason.DEADLINE, "Too late.")
    claim = services().store.claim("demo", ID, clock.now() + timedelta(seconds=70))
    assert claim is not None
    if how == "fail":
        return outbox.fail(claim, Reason.TOO_LONG, "Too long.")
    return outbox.succeed(claim, completion("Hi"))


ways = pytest.mark.parametrize("how", ["succeed", "fail", "fail unclaimed", "cancel"])


def written(calls: list[Call]) -> list[tuple[str, str]]:
    """Return the calls with what they were made to."""
    return [
        (call.operation, call.params.get("TableName") or call.params["QueueUrl"]) for call in calls
    ]


@ways
def test_an_end_gives_the_slot_back_and_sends_the_message(
    outbox: Outbox, calls: list[Call], how: str
) -> None:
    """Every end is counted, and its message sent; the notifier alone dispatches the end."""
    put(**BOTH)
    calls.clear()
    assert end(outbox, how)
    assert written(calls)[-3:] == [
        (WRITE, REFERENCES["GenerationsTable"]),
        (WRITE, REFERENCES["QuotasTable"]),
        ("sqs.SendMessage", REFERENCES["NotifyQueue"]),
    ]
    ended = services().store.get_end("demo", ID)
    assert ended is not None
    assert not ended.dispatched


@pytest.mark.parametrize("how", ["succeed", "fail"])
def test_an_end_without_an_outbox_entry_is_one_write(
    outbox: Outbox, calls: list[Call], how: str
) -> None:
    """Most ends need no dispatch."""
    put()
    calls.clear()
    end(outbox, how)
    assert written(calls) == [(WRITE, REFERENCES["GenerationsTable"])] * 2  # with the claim


@ways
@pytest.mark.parametrize("broken", ["_quotas", "_messages"])
def test_an_end_stands_when_its_dispatch_fails(
    outbox: Outbox,
    monkeypatch: pytest.MonkeyPatch,
    log_lines: Callable[[], list[dict[str, Any]]],
    how: str,
    broken: str,
) -> None:
    """When AWS is out of reach after the end, the end stands, and stays due."""
    put(**BOTH)

    def out_of_reach(*_: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://aws.invalid")

    part = SimpleNamespace(count_end=out_of_reach, send=out_of_reach)
    monkeypatch.setattr(outbox, broken, part)
    assert end(outbox, how)
    ended = services().store.get_end("demo", ID)
    assert ended is not None
    assert not ended.dispatched
    (line,) = [line for line in log_lines() if line["message"] == "could not dispatch"]
    assert line["generation_id"] == ID


@ways
def test_a_bug_in_the_dispatch_is_not_hidden(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """An error that is not AWS's is raised."""
    put(**BOTH)
    monkeypatch.setattr(outbox, "_quotas", None)
    with pytest.raises(AttributeError):
        end(outbox, how)


def test_a_refused_end_is_not_dispatched(outbox: Outbox, calls: list[Call]) -> None:
    """An end under a live lease, and a second end, change nothing."""
    put(**BOTH)
    claim = services().store.claim("demo", ID, clock.now() + timedelta(seconds=70))
    assert claim is not None
    assert outbox.fail_unclaimed("demo", ID, Reason.DEADLINE, "Too late.") is Status.RUNNING
    assert outbox.cancel("demo", ID) is Status.CANCELED
    calls.clear()
    assert outbox.succeed(claim, completion("late")) is False
    assert outbox.fail(claim, Reason.TOO_LONG, "late") is False
    assert outbox.cancel("demo", ID) is Status.CANCELED
    assert outbox.fail_unclaimed("demo", ID, Reason.DEADLINE, "Too late.") is Status.CANCELED
    assert written(calls) == [(WRITE, REFERENCES["GenerationsTable"])] * 4
