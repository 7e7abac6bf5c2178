"""Retry-After in every form that RFC 9110 has for it, and in those that servers send besides."""

import pytest

from afterword.runtime.retry_after import MAX_SECONDS, parse_retry_after, read_retry_after
from tests.conftest import SetClock

TWO_MINUTES_ON = [
    "Tue, 10 Nov 2026 09:02:00 GMT",  # IMF-fixdate
    "Tuesday, 10-Nov-26 09:02:00 GMT",  # RFC 850
    "Tue Nov 10 09:02:00 2026",  # asctime
    "Tue, 10 Nov 2026 09:02:00 -0000",
    "Tue, 10 Nov 2026 09:02:00 +0000",
    "Tue, 10 Nov 2026 10:02:00 +0100",
    "Tue, 10 Nov 2026 03:32:00 -0530",
    "Tue, 10 Nov 2026 09:02:00 UTC",
    "Tue, 10 Nov 2026 09:02:00",
    "10 Nov 2026 09:02:00 GMT",
    "Tuesday, 10-Nov-2026 09:02:00 GMT",
    "tue, 10 nov 2026 09:02:00 gmt",
    "  Tue, 10 Nov 2026 09:02:00 GMT  ",
]


@pytest.mark.parametrize("value", TWO_MINUTES_ON)
@pytest.mark.usefixtures("set_clock")
def test_a_date_is_seconds_from_now(value: str) -> None:
    """Each form of a date is read, one without a zone in UTC."""
    assert parse_retry_after(value) == 120.0


@pytest.mark.parametrize(
    ("value", "day"), [("Tue Nov  3 09:00:00 2026", 3), ("Tue Nov 10 08:59:00 2026", 10)]
)
@pytest.mark.usefixtures("set_clock")
def test_a_date_in_the_past_is_now(value: str, day: int) -> None:
    """A moment that has passed asks for no wait; asctime pads its day with a blank."""
    assert str(day) in value
    assert parse_retry_after(value) == 0.0


def test_a_year_of_two_digits_is_near(set_clock: SetClock) -> None:
    """More than 50 years ahead is the century before (RFC 9110, section 5.6.7)."""
    assert set_clock.moment.year == 2026
    assert parse_retry_after("Sunday, 06-Nov-94 08:49:37 GMT") == 0.0
    assert parse_retry_after("Friday, 06-Nov-76 08:49:37 GMT") is None  # 50 years: too far


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0", 0.0), ("17", 17.0), (" 17 ", 17.0), ("1.5", 1.5), ("2592000", MAX_SECONDS)],
)
def test_a_number_is_seconds(value: str, seconds: float) -> None:
    """Digits are seconds; some servers send a fraction."""
    assert parse_retry_after(value) == seconds


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "soon",
        "-3",
        "+3",
        "1e9",
        "0x10",
        "NaN",
        "inf",
        "٣",
        "1,5",
        "5, 10",
        "2592001",
        "9" * 12,
        "9" * 5000,
        "Mon, 99 Foo",
        "Tue, 10 Foo 2026 09:02:00 GMT",
        "Tue, 31 Nov 2026 09:02:00 GMT",
        "Tue, 10 Nov 2026 25:02:00 GMT",
        "Tue, 10 Nov 0000 09:02:00 GMT",
        "Tue, 10 Nov 2026 09:02:00 +9999",
        "Tue, 10 Nov 9999 09:02:00 GMT",
        "Tue, 10 Nov 9999 23:59:59 -2300",
        "2026-11-10T09:02:00Z",
        "\ud83d",
    ],
)
@pytest.mark.usefixtures("set_clock")
def test_another_text_is_none(value: str) -> None:
    """A malformed, negative or huge value counts as absent."""
    assert parse_retry_after(value) is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "17"}, 17.0),
        ({"retry-after-ms": "1500", "Retry-After": "2"}, 1.5),
        ({"Retry-After-Ms": "soon", "Retry-After": "2"}, 2.0),
        ({"retry-after-ms": "-5"}, None),
        ({"X-Retry-After": "2"}, None),
        ({}, None),
    ],
)
def test_milliseconds_are_more_exact(headers: dict[str, str], seconds: float | None) -> None:
    """Azure's header in milliseconds comes before that in seconds."""
    assert read_retry_after(headers) == seconds


@pytest.mark.usefixtures("set_clock")
def test_a_leap_second_is_one() -> None:
    """A 60th second is read as the last one."""
    assert parse_retry_after("Tue, 10 Nov 2026 09:01:60 GMT") == 119.0
