"""The states of a generation and its ids."""

import uuid
from datetime import timedelta

import pytest

from afterword import generations
from afterword.errors import AfterwordError
from afterword.generations import DEADLINE, TRANSITIONS, FailedError, Reason, Status
from tests.conftest import START, SetClock

LEGAL = {
    "queued": {"running", "failed", "canceled"},
    "running": {"queued", "running", "succeeded", "failed", "canceled"},
    "succeeded": set[str](),
    "failed": set[str](),
    "canceled": set[str](),
}
"""The documented transitions of a status."""


def test_the_legal_transitions_are_the_documented_ones() -> None:
    """Each status may become exactly what the documentation says."""
    assert {
        str(status): {str(after) for after in TRANSITIONS[status]} for status in Status
    } == LEGAL


@pytest.mark.parametrize("status", Status)
def test_a_terminal_status_is_one_that_nothing_follows(status: Status) -> None:
    """Succeeded, failed and canceled are terminal; queued and running are not."""
    assert status.terminal is (status in {"succeeded", "failed", "canceled"})


def test_a_generation_may_be_finished_for_an_hour() -> None:
    """The deadline is an hour after the submission."""
    assert timedelta(hours=1) == DEADLINE


def test_an_id_is_a_version_7_uuid_of_its_moment(set_clock: SetClock) -> None:
    """A new id is a version 7 UUID that carries the present millisecond."""
    set_clock.advance(milliseconds=123)
    made = uuid.UUID(generations.new_id())
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == round(START.timestamp() * 1000) + 123


def test_ids_are_in_the_order_of_their_making(set_clock: SetClock) -> None:
    """Ids of later milliseconds sort after earlier ones, as text."""
    ids = []
    for _ in range(200):
        ids.append(generations.new_id())
        set_clock.advance(milliseconds=1)
    assert ids == sorted(ids)


@pytest.mark.usefixtures("set_clock")
def test_ids_of_one_moment_differ() -> None:
    """A thousand ids made in one millisecond are a thousand."""
    assert len({generations.new_id() for _ in range(1_000)}) == 1_000


def test_a_new_id_is_an_id() -> None:
    """Every id that is given out is taken back."""
    assert generations.is_id(generations.new_id())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "019A6F3E-7C00-7000-8000-000000000001",
        "019a6f3e-7c00-7000-8000-00000000000A",
        "019a6f3e7c0070008000000000000001",
        "{019a6f3e-7c00-7000-8000-000000000001}",
        "urn:uuid:019a6f3e-7c00-7000-8000-000000000001",
        " 019a6f3e-7c00-7000-8000-000000000001",
        "019a6f3e-7c00-7000-8000-000000000001\n",
        "019a6f3e-7c00-7000-8000-00000000001",
        "019a6f3e-7c00-7000-8000-0000000000011",
        "019a6f3e-7c00-7000-8000-00000000000g",
        "019a6f3e-7c00-7000-8000-00000000000\N{ARABIC-INDIC DIGIT ONE}",
        "\ud800",
        "demo#019a6f3e-7c00-7000-8000-000000000001",
        "../../registry",
    ],
)
def test_only_the_one_stored_form_is_an_id(text: str) -> None:
    """Anything but a lower-case UUID with hyphens is no id, so one generation has one address."""
    assert not generations.is_id(text)


def test_a_failure_keeps_its_reason() -> None:
    """A failure is an error whose message is for people and whose reason is for programs."""
    error = FailedError(Reason.TOO_LONG, "The mail is too long.")
    assert isinstance(error, AfterwordError)
    assert (error.reason, str(error)) == ("too_long", "The mail is too long.")
