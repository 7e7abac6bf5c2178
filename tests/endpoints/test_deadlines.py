"""How long a generation may take: by default, by its flow, by its request."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from afterword.generations import DEADLINE, MAX_DEADLINE, MIN_DEADLINE, Reason
from afterword.services import services
from tests.conftest import FLOW, FLOW_DOCUMENT, Event, SetClock, Stored
from tests.endpoints.conftest import refusal
from tests.harness.api import invoke

MALFORMED = refusal(400, "Afterword-Deadline: must be a whole number of seconds from 10 to 21600.")

type Submit = Callable[..., dict[str, Any]]


@pytest.fixture
def submit(submission_event: Event, set_clock: SetClock) -> Submit:  # noqa: ARG001 - for its effect
    """Return a function that submits the sample mail, with a deadline if one is given."""

    def send(deadline: str | None = None) -> dict[str, Any]:
        if deadline is not None:
            submission_event["headers"]["afterword-deadline"] = deadline
        return invoke("submit_mail_generation", submission_event)

    return send


def allowed(result: dict[str, Any]) -> timedelta:
    """Return how long an accepted generation may take."""
    assert result["statusCode"] == 200, result
    generation = services().store.get("demo", json.loads(result["body"])["process_cuid"])
    return generation.deadline_at - generation.created_at


def test_a_generation_has_an_hour(submit: Submit) -> None:
    """Without a deadline of its own, a generation has an hour."""
    assert allowed(submit()) == DEADLINE == timedelta(hours=1)


def test_a_flow_may_say_how_long(submit: Submit) -> None:
    """The flow's deadline holds for all its generations from then on."""
    document = {**json.loads(FLOW_DOCUMENT), "deadline_seconds": 90}
    services().registry.put_flow("demo", FLOW, json.dumps(document))
    assert allowed(submit()) == timedelta(seconds=90)


@pytest.mark.parametrize("seconds", [10, 30, 21_600])
def test_a_request_may_say_how_long(submit: Submit, seconds: int) -> None:
    """The request's deadline holds over its flow's."""
    document = {**json.loads(FLOW_DOCUMENT), "deadline_seconds": 90}
    services().registry.put_flow("demo", FLOW, json.dumps(document))
    assert allowed(submit(str(seconds))) == timedelta(seconds=seconds)
    assert MIN_DEADLINE <= timedelta(seconds=seconds) <= MAX_DEADLINE


@pytest.mark.parametrize(
    "deadline",
    [
        "",
        "9",
        "21601",
        "-10",
        "+30",
        "1e3",
        "30.5",
        " 30",
        "30 ",
        "٣٠",
        "1" * 5_000,
        "soon",
        "30,30",
    ],
)
def test_a_deadline_that_is_none_is_refused(
    submit: Submit, stored: Callable[[], Stored], deadline: str
) -> None:
    """A deadline that is no whole number of seconds in range is a 400 that says the range."""
    assert submit(deadline) == MALFORMED
    assert stored() == Stored(items=0, messages=0, objects=0)


def test_a_short_deadline_is_kept(
    submit: Submit, set_clock: SetClock, load_event: Callable[[str], Event]
) -> None:
    """The sweeper ends a generation at its own deadline, not two minutes after its submission."""
    generation_id = json.loads(submit("30")["body"])["process_cuid"]
    set_clock.advance(seconds=30)
    assert invoke("sweep", load_event("sweep")) == {"failed": 1}
    assert services().store.get("demo", generation_id).reason is Reason.DEADLINE


def test_the_same_key_with_another_deadline_is_another_request(
    submit: Submit, submission_event: Event
) -> None:
    """A deadline is part of what was asked for."""
    submission_event["headers"]["idempotency-key"] = "case-457"
    assert submit("30")["statusCode"] == 200
    assert submit("30")["statusCode"] == 200
    assert submit("60")["statusCode"] == 422
