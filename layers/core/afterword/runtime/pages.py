"""Pages of lists."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Page[T]:
    """A part of a list; `after` is the cursor of the next part, None at the list's end.

    `total` counts the whole list; None for a list without a count.
    """

    items: tuple[T, ...]
    after: str | None
    total: int | None = None
