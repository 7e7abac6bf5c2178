"""Pages of lists."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Page[T]:
    """A part of a list. The next part begins `after` this cursor: None at the end of the list.

    `total` counts the whole list, None where the list is not counted.
    """

    items: tuple[T, ...]
    after: str | None
    total: int | None = None
