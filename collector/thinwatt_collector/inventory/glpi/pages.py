"""Reading a long list page by page while somebody adds and removes: nothing is missed, nothing is there twice.

The pages are sorted by number, which only grows: what is added comes last. What is removed moves the rest forward, and
a page would begin behind a row that nobody read. So each page begins with the last row of the one before. Where it
does not, the list has moved, and the page before is read again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

Row = dict[str, Any]
Page = Callable[[int, int], tuple[Sequence[Row], int]]
"""First row from 0, number of rows → the rows, and how many there are in all."""
PATIENCE: Final = 100
"""Times that a list may move while it is read."""


class RestlessError(RuntimeError):
    """A list moved too often while it was read."""


def rows(page: Page, size: int) -> list[Row]:
    """Return all rows of a list, sorted by ``id``, each once.

    Args:
        page: asks for rows; none, or fewer than asked, where the list ends.
        size: rows a question, at least 2.

    Raises:
        RestlessError: the list moved too often.
    """
    found: dict[int, Row] = {}
    start = moved = last = 0
    while True:
        got, total = page(start, size)
        numbers = [int(row["id"]) for row in got]
        gap = bool(start and (not numbers or numbers[0] > last))
        moved += gap or bool(found and len(got) == size and found.keys() >= set(numbers))
        if moved > PATIENCE:
            raise RestlessError(f"the list moved {moved} times while it was read: try again at a quieter hour")
        if gap:
            start = max(0, start - size)
            continue
        found |= zip(numbers, got, strict=True)
        last = max(found, default=0)
        end = start + len(got)
        if len(got) < size or end >= total:
            return [found[number] for number in sorted(found)]
        start = end - 1
