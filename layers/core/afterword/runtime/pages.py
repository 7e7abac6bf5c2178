"""Pages of lists."""

from collections.abc import Callable, Sequence

from afterword.records import dataclass


@dataclass(frozen=True, slots=True)
class Page[T]:
    """A part of a list; `after` is the cursor of the next part, None at the list's end.

    `total` counts the whole list; None for a list without a count.
    """

    items: tuple[T, ...]
    after: str | None
    total: int | None = None


def cut_page[T](
    items: Sequence[T], key: Callable[[T], str], limit: int, after: str | None
) -> Page[T]:
    """Return a page of a list that is read as a whole, in the order of its unique keys."""
    ordered = sorted(items, key=key)
    rest = [each for each in ordered if after is None or key(each) > after]
    page = tuple(rest[:limit])
    return Page(page, key(page[-1]) if len(rest) > limit else None, len(items))
