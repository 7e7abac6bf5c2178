"""The folder of a stack, while another one is being stopped there."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from local import places
from local.places import Place
from local.stack import stopped


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Return a place in a folder of the test's own."""
    monkeypatch.setattr(places, "LOCAL", tmp_path)
    monkeypatch.setattr(places, "ANNOUNCED", tmp_path / "dev.json")
    place = Place.of(8080)
    place.tmp.mkdir(parents=True)
    return place


def test_a_place_is_left_until_its_stack_has_stopped(place: Place) -> None:
    """A stack that begins to stop is announced no longer, and gone once its files are."""
    place.announce({"pids": {"dev": os.getpid()}})
    place.leave()
    assert place.is_left()
    assert not place.announcement.exists()
    assert not places.ANNOUNCED.exists()
    place.withdraw()
    assert not place.is_left()
    assert not place.folder.exists()


def test_a_stack_that_was_killed_is_not_waited_for(place: Place) -> None:
    """A process that is no more stops nothing."""
    place.leave()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (place.folder / "stopping").write_text(str(ended.pid))
    assert not place.is_left()


def test_a_start_waits_for_the_end_of_another(place: Place) -> None:
    """The wait lasts until the other stack has withdrawn."""
    place.leave()

    async def wait() -> None:
        async with asyncio.timeout(10):
            waiting = asyncio.ensure_future(stopped(place))
            done, _ = await asyncio.wait({waiting}, timeout=0)
            assert not done
            place.withdraw()
            await waiting

    asyncio.run(wait())


def test_a_start_does_not_wait_for_ever(place: Place) -> None:
    """A stack that does not come to its end is waited for no longer than the seconds given."""
    place.leave()
    asyncio.run(stopped(place, seconds=0))
    assert place.is_left()
