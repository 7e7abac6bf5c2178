"""The window of a batch: when it grows, when it shrinks, and how long until the next look."""

from dataclasses import replace
from datetime import timedelta

import pytest

from afterword.batches import FIRST_WINDOW, MAX_WINDOW, MIN_WINDOW, Window
from afterword.batches.window import HOLD, Look, adjust, parse_lines, pause, render_lines
from tests.conftest import START

STEADY = Window(size=40, doubling=False, call=2.0, samples=32, least=2.0, looked_at=START)


def after(window: Window, look: Look, seconds: float = 2) -> Window:
    """Return a window after a look some seconds after START, with 100 lines submitted."""
    return adjust(window, look, 100, START + timedelta(seconds=seconds))


def test_a_new_window_doubles_while_the_model_keeps_up() -> None:
    """Each line that ends lets one more in, until the first sign of a jam."""
    window = Window(looked_at=START)
    sizes = []
    for _ in range(4):
        window = after(window, Look(calls=[1.0], waits=[0.1], ended=window.size))
        sizes.append(window.size)
    assert sizes == [2 * FIRST_WINDOW, 4 * FIRST_WINDOW, 8 * FIRST_WINDOW, 16 * FIRST_WINDOW]


def test_a_window_grows_by_a_few_lines_after_the_first_sign() -> None:
    """A wait that is fair ends the doubling, and a shorter one lets two lines more in a turn."""
    doubling = replace(STEADY, doubling=True)
    fair = after(doubling, Look(waits=[1.0], ended=10))
    assert (fair.size, fair.doubling) == (40, False)
    assert after(fair, Look(waits=[0.5], ended=10)).size == 42
    assert after(replace(fair, size=4), Look(waits=[0.5], ended=4)).size == 5


@pytest.mark.parametrize(
    "look",
    [Look(waits=[1.5, 0.1, 1.5], ended=5), Look(returned=True, ended=5), Look(calls=[9.0] * 32)],
    ids=["a long wait", "a line that came back", "calls of twice the time"],
)
def test_a_window_shrinks_when_the_model_does_not_keep_up(look: Look) -> None:
    """Each of the three signs cuts the window, and lines of before no longer count."""
    window = after(STEADY, look)
    assert (window.size, window.doubling, window.cut_at) == (28, False, 100)


def test_a_wait_that_all_lines_have_is_no_sign() -> None:
    """The shortest wait of a turn's lines is none of theirs, and comes off bit by bit."""
    window = replace(STEADY, idle=5.0)
    assert after(window, Look(waits=[5.5], shortest=5.0, ended=5)).size == 42
    assert after(window, Look(waits=[6.5], shortest=5.0, ended=5)).size == 28
    assert after(window, Look(waits=[0.1], shortest=0.1)).idle == 0.1
    assert after(window, Look(waits=[9.0], shortest=9.0)).idle == 6.0
    assert after(window, Look(waits=[9.0])).idle == 5.0


def test_one_lost_message_is_no_sign() -> None:
    """The wait of a single line among many cuts no window."""
    assert after(STEADY, Look(waits=[0.1] * 19 + [60.0], ended=20)).size == 42


def test_a_short_wait_is_no_sign_however_short_the_calls() -> None:
    """Half a second from the queue to a new function cuts no window of a quick model."""
    quick = replace(STEADY, call=0.1, least=0.1)
    assert after(quick, Look(waits=[0.49], ended=5)).size == 40
    assert after(quick, Look(waits=[0.51], ended=5)).size == 28


def test_a_window_holds_after_lines_that_came_back() -> None:
    """Below the limit of a model that refuses, a window stays for a while before it grows again."""
    cut = after(STEADY, Look(returned=True, ended=5))
    held = after(cut, Look(ended=5), HOLD.total_seconds() + 1)
    assert held.size == cut.size
    assert after(held, Look(ended=5), HOLD.total_seconds() + 2).size == cut.size + 2


@pytest.mark.parametrize("look", [Look(ended=0), Look(ended=5, full=False)])
def test_a_window_that_is_not_used_up_does_not_grow(look: Look) -> None:
    """Without an end, or where a limit or the file has bounded the lines, a window stays."""
    assert after(STEADY, look).size == 40


def test_a_window_has_bounds() -> None:
    """A window never has more than a thousand lines, and never less than one."""
    assert after(replace(STEADY, size=MAX_WINDOW - 1), Look(ended=500)).size == MAX_WINDOW
    window = STEADY
    for _ in range(30):
        window = after(window, Look(returned=True))
    assert window.size == MIN_WINDOW


def test_at_its_least_a_window_measures_calls_anew() -> None:
    """Calls that are longer in a window of one line are no jam, but longer calls."""
    least = replace(STEADY, size=MIN_WINDOW)
    window = after(least, Look(calls=[9.0] * 32, ended=32))
    assert window.size > MIN_WINDOW
    assert window.least == pytest.approx(window.call)


def test_a_few_longer_calls_are_no_sign() -> None:
    """Right after a cut, calls are compared only once enough of them have ended."""
    cut = after(STEADY, Look(calls=[9.0] * 32))
    assert after(cut, Look(calls=[9.0] * 15, ended=15)).size == cut.size + 2
    assert after(cut, Look(calls=[9.0] * 16, ended=16)).size < cut.size


def test_the_rate_is_smoothed_over_a_minute() -> None:
    """The first rate is as measured; a burst later on moves it by a part."""
    window = after(Window(looked_at=START), Look(ended=4), 2)
    assert window.rate == 120
    assert 120 < after(window, Look(ended=40), 4).rate < 200
    assert after(window, Look(ended=0), 302).rate < 5


def test_looks_come_half_a_call_apart_and_later_while_nothing_ends() -> None:
    """A pause is half a call, between a second and a minute, and doubles while nothing ends."""
    pauses = [pause(Window(call=10.0, quiet=quiet)).total_seconds() for quiet in range(7)]
    assert pauses == [5, 5, 10, 20, 40, 60, 60]
    assert pause(Window()).total_seconds() == 1
    assert pause(Window(call=600.0)).total_seconds() == 60
    assert after(replace(STEADY, quiet=3), Look(ended=1)).quiet == 0
    assert after(STEADY, Look()).quiet == 1


@pytest.mark.parametrize(
    ("lines", "text"),
    [((), ""), ((7,), "7"), ((1, 2, 3, 7, 9, 10), "1-3,7,9-10"), (tuple(range(1, 1001)), "1-1000")],
)
def test_open_lines_are_stored_as_ranges(lines: tuple[int, ...], text: str) -> None:
    """Lines are written as ranges, and read as they were."""
    assert render_lines(lines) == text
    assert parse_lines(text) == lines
