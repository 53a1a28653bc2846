"""Which names may mean one thing: "Bât. B / B305" and "b305". Symmetric, whatever the order."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from itertools import combinations
from typing import Final

from thinwatt_collector.inventory.files import plain

GENERIC: Final = frozenset(
    {
        *("bat", "batiment", "building", "bldg", "salle", "room", "rm", "site", "campus"),
        *("universite", "university", "univ", "de", "du", "des", "la", "le", "les", "the", "of"),
    }
)
"""Words that say what a thing is, not which."""
SHORTEST: Final = 6
"""A slip of the pen is looked for in names of this many letters and digits at least."""


@lru_cache(maxsize=65_536)
def key(name: str) -> str:
    """Return what two ways to write a name have in common.

    >>> key("Bât. B / B305"), key("b305"), key("Salle B-305")
    ('b305', 'b305', 'b305')
    """
    words = [w for w in plain(name).split("_") if w]
    telling = [w for w in words if w not in GENERIC] or words
    while len(telling) > 1 and telling[1].startswith(telling[0]):
        del telling[0]
    return "".join(telling)


def alike(one: str, other: str, slips: bool = True) -> bool:
    """Return whether two names may mean one thing: the same key, or a slip of the pen apart with the same digits.

    >>> alike("Amphi Turing", "amphi Turring"), alike("B305", "B306"), alike("B305", "A305")
    (True, False, False)
    >>> alike("Campus Nord / Bât. B / A305", "Campus Nord / Bât. B / B305")
    False
    """
    a, b = key(one), key(other)
    if a == b or not slips:
        return a == b
    slipped = _digits(a) == _digits(b) and min(len(a), len(b)) >= SHORTEST and _slip(a, b)
    return slipped and not _on_purpose(one, other)


def pairs(names: Iterable[str], slips: bool = True) -> set[tuple[str, str]]:
    """Return the pairs of different names that may mean one thing, each pair in alphabetical order."""
    buckets: dict[str, set[str]] = defaultdict(set)
    for name in sorted(set(names)):
        of = key(name)
        # Two keys a letter apart share one of their forms with a letter left out.
        forms = {of} | ({of[:i] + of[i + 1 :] for i in range(len(of))} if slips and len(of) >= SHORTEST else set())
        for form in forms:
            buckets[form].add(name)
    found: set[tuple[str, str]] = set()
    for bucket in buckets.values():
        found |= {(a, b) for a, b in combinations(sorted(bucket), 2) if alike(a, b, slips)}
    return found


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that may be meant: the first that is alike, the same key before a slip."""
    close = [k for k in sorted(known) if alike(name, k)]
    return min(close, key=lambda k: key(k) != key(name), default=None)


def _digits(of: str) -> list[str]:
    return re.findall(r"\d+", of)


def _on_purpose(one: str, other: str) -> bool:
    """Return whether names of as many words differ in a short one alone: "Lab A" and "Lab B" say so on purpose."""
    words = [plain(name).split("_") for name in (one, other)]
    apart = [(a, b) for a, b in zip(*words, strict=False) if a != b]
    return len(words[0]) == len(words[1]) and len(apart) == 1 and min(map(len, apart[0])) < SHORTEST


def _slip(a: str, b: str) -> bool:
    """Return whether one letter was left out, put in, exchanged for another, or swapped with the next."""
    if len(a) > len(b):
        a, b = b, a
    if len(b) - len(a) > 1:
        return False
    i = 0
    while i < len(a) and a[i] == b[i]:
        i += 1
    if len(a) < len(b):
        return a[i:] == b[i + 1 :]
    return a[i + 1 :] == b[i + 1 :] or (a[i : i + 2] == b[i : i + 2][::-1] and a[i + 2 :] == b[i + 2 :])
