"""Dataclasses with shared methods are as those of the standard library."""

import copy
import dataclasses
import pickle
from dataclasses import FrozenInstanceError, field
from typing import Any

import pytest

from afterword.records import dataclass


@dataclass(frozen=True, slots=True)
class Point:
    """A class with positional fields."""

    x: int
    y: int = 0
    names: list[str] = field(default_factory=list, compare=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Model:
    """The same of the standard library."""

    x: int
    y: int = 0
    names: list[str] = field(default_factory=list, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A class whose fields are named."""

    x: int
    y: int = 0


@pytest.mark.parametrize(
    ("args", "named"),
    [((1,), {}), ((1, 2), {}), ((), {"x": 1}), ((1,), {"y": 2}), ((1, 2, ["a"]), {})],
)
def test_fields_are_given_as_to_the_standard_librarys(
    args: tuple[Any, ...], named: dict[str, Any]
) -> None:
    """Values by place and by name, defaults, and a new list for each object."""
    point, model = Point(*args, **named), Model(*args, **named)
    assert dataclasses.asdict(point) == dataclasses.asdict(model)
    assert repr(point) == repr(model).replace("Model", "Point")
    assert Point(1).names is not Point(1).names


@pytest.mark.parametrize(
    ("args", "named"),
    [((), {}), ((1, 2, [], 4), {}), ((1,), {"x": 1}), ((1,), {"z": 1}), ((), {"y": 1})],
)
def test_wrong_arguments_are_refused(args: tuple[Any, ...], named: dict[str, Any]) -> None:
    """An argument that lacks, is too much, unknown or there twice is a TypeError in both."""
    for kind in (Point, Model):
        with pytest.raises(TypeError):
            kind(*args, **named)


def test_fields_that_are_named_have_no_place() -> None:
    """With kw_only no value is given by place."""
    wrong: Any = Named
    with pytest.raises(TypeError, match="takes 0 positional arguments, not 1"):
        wrong(1)
    assert Named(x=1) == Named(y=0, x=1)


def test_equality_and_hash_are_of_the_compared_fields() -> None:
    """A field with compare=False counts for neither; another class is never equal."""
    assert Point(1, 2, ["a"]) == Point(1, 2, ["b"])
    assert hash(Point(1, 2, ["a"])) == hash(Model(1, 2, ["b"]))
    others: list[object] = [Point(1, 3), Model(1, 2), (1, 2)]
    assert Point(1, 2) not in others


def test_an_object_does_not_change() -> None:
    """No field is set or deleted, and there are no others."""
    point: Any = Point(1)
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'x'"):
        point.x = 2
    with pytest.raises(FrozenInstanceError, match="cannot delete field 'x'"):
        del point.x
    with pytest.raises(AttributeError):
        point.z = 1


def test_the_standard_librarys_functions_take_the_class() -> None:
    """`replace`, `fields`, patterns, copies and pickles are as always."""
    point = Point(1, 2, ["a"])
    assert dataclasses.replace(point, y=3) == Point(1, 3)
    assert [each.name for each in dataclasses.fields(Point)] == ["x", "y", "names"]
    match point:
        case Point(x, y):
            assert (x, y) == (1, 2)
    restored = pickle.loads(pickle.dumps(point))  # noqa: S301 - our own bytes
    for other in (copy.copy(point), copy.deepcopy(point), restored):
        assert (other, other.names) == (point, ["a"])


def test_a_class_that_changes_is_the_standard_librarys() -> None:
    """Without `frozen` fields are set, and objects have no hash."""

    @dataclass(slots=True)
    class Count:
        value: int = 0

    count = Count()
    count.value += 1
    assert count == Count(1)
    assert Count.__hash__ is None
