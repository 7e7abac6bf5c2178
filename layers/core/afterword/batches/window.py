"""The window of a batch: how many of its lines are open at once. No AWS in here.

The window grows while the model keeps up, and shrinks when the model does not. Three signs of the
latter are read from the lines themselves:

- Lines wait for their first claim for a good part of a call of the model. The wait that all lines
  of a turn have alike comes off, since the queue itself or other requests cause that one.
- The model, or its provider, sent a line back: the attempt was throttled, or timed out.
- Calls take nearly twice as long as they did in a smaller window: the model itself has a queue.

A window doubles until the first sign, and then grows by INCREASE a turn. So it settles where the
queue holds about what the workers take in half a call. Only lines that were submitted after the
last cut count: one jam cuts the window once.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from afterword.batches import MAX_WINDOW, MIN_WINDOW, Window
from afterword.records import dataclass

if TYPE_CHECKING:
    from datetime import datetime

INCREASE = 2
"""The lines by which a window grows in a turn, once it does not double any more; a window of a few
lines grows by one."""
HOLD = timedelta(seconds=30)
"""The time without growth after a cut for lines that the model sent back. A model that refuses does
so to everybody: a window just below its limit leaves room for others."""
DECREASE = 0.7
"""The fraction of the window that a cut leaves."""
LONG_WAIT, FAIR_WAIT = 0.7, 0.4
"""The wait for the first claim, in calls of the model, that cuts a window, and the longest one at
which it grows. Another request behind all open lines waits as long: less than one call."""
LEAST_WAIT = timedelta(milliseconds=500)
"""A wait that cuts no window, however short the calls: a queue and a new function need as much."""
SLOWDOWN = 1.8
"""The growth of a call's time, over its least, that cuts a window."""
SAMPLES = 32
"""The lines over which a call's time is smoothed; with fewer than half of them it is no sign."""
RATE_SECONDS = 60.0
"""The time over which the rate of ends is smoothed."""
MIN_PAUSE, MAX_PAUSE = timedelta(seconds=1), timedelta(seconds=60)
"""The bounds of the pause between two looks at open lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The signs of one look at a batch's open lines.

    `waits` are the seconds until the first claim, so far for unclaimed lines, and `calls` the
    seconds from the claim to the end. Both leave out lines of before the last cut. `returned` says
    that a later line was throttled or timed out. `shortest` is the shortest wait of all lines, None
    unless all are of one turn and were claimed since the last look. `ended` are all lines that
    ended since then. `full` says that the window, and neither the file nor a limit, bounded the
    open lines.
    """

    waits: Sequence[float] = ()
    calls: Sequence[float] = ()
    returned: bool = False
    shortest: float | None = None
    ended: int = 0
    full: bool = True


def adjust(window: Window, look: Look, last: int, now: "datetime") -> Window:
    """Return the window after a look; `last` is the last line that is submitted."""
    window = _measure(window, look, now)
    wait = _long_wait(look.waits) - window.idle
    call = max(window.call, LEAST_WAIT.total_seconds() / LONG_WAIT)
    slow = window.samples >= SAMPLES / 2 and window.call > SLOWDOWN * window.least
    if look.returned or wait > LONG_WAIT * call or slow:
        return replace(
            window,
            size=max(MIN_WINDOW, int(window.size * DECREASE)),
            doubling=False,
            cut_at=last,
            samples=0,
            held_until=now + HOLD if look.returned else window.held_until,
        )
    if wait > FAIR_WAIT * call:
        return replace(window, doubling=False)
    held = window.held_until is not None and now < window.held_until
    if not look.full or not look.ended or held:
        return window
    growth = look.ended if window.doubling else min(INCREASE, 1 + window.size // 8)
    return replace(window, size=min(window.size + growth, MAX_WINDOW))


def _long_wait(waits: Sequence[float]) -> float:
    """Return the wait that nine in ten lines do not exceed, and so not that of one lost message."""
    return sorted(waits)[(len(waits) - 1) * 9 // 10] if waits else 0.0


def pause(window: Window) -> timedelta:
    """Return the pause until the next look: half a call, and longer once nothing ends twice."""
    usual = max(MIN_PAUSE, timedelta(seconds=int(window.call / 2)))
    return min(usual * (1 << min(max(0, window.quiet - 1), 6)), MAX_PAUSE)


def _measure(window: Window, look: Look, now: "datetime") -> Window:
    """Return a window with the time of a call, and the rate, of a look."""
    call, samples, least, rate = window.call, window.samples, window.least, window.rate
    for each in look.calls:
        samples = min(samples + 1, SAMPLES)
        call += (each - call) / samples
    if samples >= SAMPLES / 2:
        # At its least a window adds nothing to the time of a call.
        least = call if not least or window.size == MIN_WINDOW else min(least, call)
    if window.looked_at is not None and (passed := (now - window.looked_at).total_seconds()) > 0:
        each_minute = look.ended * 60 / passed
        weight = 1 - math.exp(-passed / RATE_SECONDS) if rate else 1.0
        rate += weight * (each_minute - rate)
    idle = window.idle
    if look.shortest is not None:
        idle = min(look.shortest, (3 * idle + look.shortest) / 4)
    return replace(
        window,
        idle=idle,
        call=call,
        samples=samples,
        least=least,
        rate=rate,
        quiet=0 if look.ended else window.quiet + 1,
        looked_at=now,
    )


def render_lines(lines: Iterable[int]) -> str:
    """Return ascending lines as text, with ranges: `1-3,7`."""
    runs: list[list[int]] = []
    for line in lines:
        if runs and line == runs[-1][1] + 1:
            runs[-1][1] = line
        else:
            runs.append([line, line])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def parse_lines(text: str) -> tuple[int, ...]:
    """Return the lines of a text of `render_lines`."""
    lines: list[int] = []
    for run in filter(None, text.split(",")):
        first, _, last = run.partition("-")
        lines += range(int(first), int(last or first) + 1)
    return tuple(lines)
