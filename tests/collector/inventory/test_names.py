"""Names that may mean one thing: found both ways round, in any order, and not where they are two."""

from __future__ import annotations

import random
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinwatt_collector.inventory import names

WORDS = st.sampled_from(
    ["Bât.", "B", "b", "B305", "b305", "B306", "Salle", "/", "-", " ", "amphi", "Turing", "Turring"]
)
NAMES = st.one_of(st.lists(WORDS, min_size=1, max_size=4).map(" ".join), st.text(max_size=9))


@given(NAMES, NAMES, st.booleans())
def test_alike_is_symmetric(one: str, other: str, slips: bool) -> None:
    assert names.alike(one, other, slips) == names.alike(other, one, slips)
    assert names.alike(one, one, slips)


@given(st.lists(NAMES, max_size=12), st.randoms(use_true_random=False), st.booleans())
def test_the_pairs_are_all_that_are_alike_whatever_the_order(
    known: list[str], shuffled: random.Random, slips: bool
) -> None:
    every = {(a, b) for a, b in combinations(sorted(set(known)), 2) if names.alike(a, b, slips)}
    assert names.pairs(known, slips) == every
    shuffled.shuffle(known)
    assert names.pairs(known, slips) == every


@pytest.mark.parametrize(
    "one, other",
    [
        ("Bât. B / B305", "b305"),
        ("Salle B-305", "B305"),
        ("OptiPlex 3070", "Optiplex  3070"),
        ("Amphi Turing", "Amphi Turring"),
        ("Amphi Turing", "Amphi Turign"),
        ("Université Exemple", "Universite  exemple"),
        ("Bâtiment B", "bat b"),
    ],
)
def test_ways_to_write_one_name(one: str, other: str) -> None:
    assert names.alike(one, other)


@pytest.mark.parametrize(
    "one, other",
    [
        ("B305", "B306"),
        ("B305", "A305"),
        ("OptiPlex 3070", "OptiPlex 3080"),
        ("Room 1", "Room 11"),
        ("Bât. A", "Bât. B"),
        ("Campus", "Site"),
        ("数学", "物理"),
    ],
)
def test_names_of_two_things(one: str, other: str) -> None:
    assert not names.alike(one, other)
    assert not names.pairs([one, other])


def test_a_slip_is_no_reason_among_machines() -> None:
    assert names.pairs(["salle-info-a", "salle-info-b"], slips=False) == set()
    assert names.pairs(["VDI_01", "vdi-01"], slips=False) == {("VDI_01", "vdi-01")}
