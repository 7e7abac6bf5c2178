"""Values that another version has stored."""

import json
from dataclasses import dataclass
from enum import StrEnum

import pytest

from afterword.generations import Output, Status
from afterword.runtime.stored import read_fields, read_word


class Colour(StrEnum):
    """An enumeration of this version."""

    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, kw_only=True)
class Point:
    """A dataclass of this version."""

    left: int
    top: int = 0


def test_a_known_word_is_its_member() -> None:
    """A word of this version is the member itself."""
    assert read_word(Colour, "red") is Colour.RED


def test_an_unknown_word_is_its_text() -> None:
    """A word of another version is shown, compared, sorted and stored as its text."""
    green = read_word(Colour, "green")
    assert isinstance(green, Colour)
    assert (green, green.value, f"{green}", json.dumps([green])) == (
        "green",
        "green",
        "green",
        '["green"]',
    )
    assert green not in {Colour.RED, Colour.BLUE}
    assert {green: 1} == {"green": 1}
    assert green == read_word(Colour, "green")


def test_an_unknown_word_becomes_no_choice() -> None:
    """A word of an item is no word that a caller may send from now on."""
    read_word(Colour, "green")
    assert list(Colour) == [Colour.RED, Colour.BLUE]
    with pytest.raises(ValueError, match="green"):
        Colour("green")


def test_unknown_fields_are_left_out() -> None:
    """A part with more fields than this version has, or with fewer, is read all the same."""
    assert read_fields(Point, {"left": 1, "depth": 3}) == Point(left=1)
    assert read_fields(Point, {"left": 1, "top": 2}) == Point(left=1, top=2)
    with pytest.raises(TypeError):
        read_fields(Point, {"top": 2})


def test_an_unknown_status_is_shown_as_running() -> None:
    """A status of another version is neither an end nor one that a worker may claim."""
    assert Status.stored("paused") is Status.RUNNING
    assert [Status.stored(each.value) for each in Status] == list(Status)


def test_a_text_of_an_unknown_type_is_a_text() -> None:
    """A result type of another version is shown as its text."""
    assert Output.stored("yaml") is Output.STRING
    assert [Output.stored(each.value) for each in Output] == list(Output)
