"""Dataclasses that cost an import less: their methods are written once, here.

The standard library generates and compiles six methods for each frozen dataclass, in 0.7 ms. A
start imports some sixty, which was a fifth of it (docs/decisions/0084-imports.md). Here the class
is the standard library's (`replace`, `fields` and `asdict` take it), and its methods are those of
this module, in 0.1 ms. In return an object takes 2 µs to build, not 1.
"""

from collections.abc import Callable, Mapping
from dataclasses import FrozenInstanceError
from typing import TYPE_CHECKING, Any, ClassVar

__all__ = ("dataclass",)

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    import dataclasses

    def dataclass(
        plain: type | None = None,
        /,
        *,
        frozen: bool = False,
        slots: bool = False,
        kw_only: bool = False,
    ) -> type | Callable[[type], type]:
        """Decorate like `dataclasses.dataclass`, which is left the classes that change."""
        if not frozen:
            return dataclasses.dataclass(plain, slots=slots, kw_only=kw_only)
        make = dataclasses.dataclass(init=False, repr=False, eq=False, slots=slots, kw_only=kw_only)
        return lambda plain: _complete(make(plain))

    def _complete(made: type) -> type:
        """Give a class its facts and the methods that use them."""
        declared, missing = dataclasses.fields(made), dataclasses.MISSING
        facts = {
            "_names": tuple(each.name for each in declared),
            "_positional": tuple(each.name for each in declared if not each.kw_only),
            "_compared": tuple(each.name for each in declared if each.compare),
            "_defaults": {
                each.name: each.default for each in declared if each.default is not missing
            },
            "_factories": {
                each.name: each.default_factory
                for each in declared
                if each.default_factory is not missing
            },
        }
        for name, value in (facts | {name: vars(_Record)[name] for name in _METHODS}).items():
            setattr(made, name, value)
        return made


class _Record:
    """The methods of each class."""

    _names: ClassVar[tuple[str, ...]]
    _positional: ClassVar[tuple[str, ...]]
    _compared: ClassVar[tuple[str, ...]]
    _defaults: ClassVar[Mapping[str, object]]
    _factories: ClassVar[Mapping[str, Callable[[], object]]]

    def __init__(self, *args: object, **values: object) -> None:
        if args:
            values = _name_positional(self, args, values)
        for name in self._names:
            if name in values:
                value = values.pop(name)
            elif name in self._defaults:
                value = self._defaults[name]
            elif name in self._factories:
                value = self._factories[name]()
            else:
                raise TypeError(f"{type(self).__name__}() lacks the argument {name!r}")
            object.__setattr__(self, name, value)
        if values:
            raise TypeError(f"{type(self).__name__}() has no argument {next(iter(values))!r}")

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._names)
        return f"{type(self).__qualname__}({shown})"

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self._compared)

    def __hash__(self) -> int:
        return hash(tuple(getattr(self, name) for name in self._compared))

    def __setattr__(self, name: str, _value: object) -> None:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __getstate__(self) -> list[object]:
        return [getattr(self, name) for name in self._names]

    def __setstate__(self, state: list[object]) -> None:
        for name, value in zip(self._names, state, strict=True):
            object.__setattr__(self, name, value)


_METHODS = (
    "__init__",
    "__repr__",
    "__eq__",
    "__hash__",
    "__setattr__",
    "__delattr__",
    "__getstate__",
    "__setstate__",
)


def _name_positional(
    record: _Record, args: tuple[object, ...], values: dict[str, Any]
) -> dict[str, Any]:
    """Return all arguments by name; raise TypeError for too many, or one twice."""
    name, names = type(record).__name__, record._positional  # noqa: SLF001 - this module's own
    if len(args) > len(names):
        raise TypeError(f"{name}() takes {len(names)} positional arguments, not {len(args)}")
    given = dict(zip(names, args, strict=False))
    twice = given.keys() & values.keys()
    if twice:
        raise TypeError(f"{name}() has the argument {min(twice)!r} twice")
    return given | values
