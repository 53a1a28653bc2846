"""Pins: PROTOCOL's section on time, with the delays and the lies that networks and clocks tell."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given

from thinwatt_collector.clock import PATIENCE, TOLERANCE, Contact, Pin, bounded, first_pin, renewed, skew

SECOND = 1_000_000_000
OFFSET = 1_764_000_000 * SECOND
"""True UTC − boottime of the machine in these tests."""


def contact(sent: float, *, delay: float = 0.0, wall: float = 0.0, live: bool = True, known: bool = False) -> Contact:
    """A frame sent at ``sent`` s after boot; its machine's wall clock is ``wall`` s fast."""
    at = round(sent * SECOND)
    return Contact(live, known, OFFSET + round(wall * SECOND), at, OFFSET + at + round(delay * SECOND))


def test_a_wall_clock_within_two_seconds_is_kept() -> None:
    for wall in (-2.0, -0.5, 0.0, 1.9):
        assert first_pin(contact(100, wall=wall), 0, 0) == Pin(OFFSET + round(wall * SECOND), uncertain=False)


def test_a_wrong_wall_clock_gives_way_to_receipt_minus_sent() -> None:
    for wall in (-3600, -2.1, 2.1, 3600):
        assert first_pin(contact(100, wall=wall), 0, 0) == Pin(OFFSET, uncertain=False)


def test_an_offset_that_a_collector_once_gave_is_certain() -> None:
    found = first_pin(contact(9, live=False, known=True, wall=5), 0, 0)
    assert found == Pin(OFFSET + 5 * SECOND, uncertain=False)


def test_a_boot_never_heard_keeps_its_wall_clock_between_the_last_row_and_receipt() -> None:
    told = contact(0, live=False, delay=1000)
    assert first_pin(told, 500 * SECOND, 0) == Pin(OFFSET, uncertain=True)
    late = first_pin(contact(0, live=False, delay=1000, wall=86_400), 500 * SECOND, 0)
    assert late.offset + 500 * SECOND == told.received
    early = first_pin(contact(0, live=False, delay=1000, wall=-86_400), 500 * SECOND, OFFSET + 100 * SECOND)
    assert early.offset + 500 * SECOND == OFFSET + 100 * SECOND
    assert late.uncertain
    assert early.uncertain


def test_a_later_frame_of_a_boot_never_heard_is_not_placed_in_the_future() -> None:
    pin = Pin(OFFSET, uncertain=True)
    assert bounded(pin, 100 * SECOND, OFFSET + 500 * SECOND) == pin
    assert bounded(pin, 900 * SECOND, OFFSET + 500 * SECOND) == Pin(OFFSET - 400 * SECOND, uncertain=True)
    sure = Pin(OFFSET, uncertain=False)
    assert bounded(sure, 900 * SECOND, OFFSET + 500 * SECOND) == sure


def test_a_skew_within_two_seconds_moves_nothing() -> None:
    pin = Pin(OFFSET, uncertain=False)
    for delay in (-2.0, 0.0, 1.5, 2.0):
        assert renewed(pin, contact(100, delay=delay)) is pin


def test_an_uncertain_pin_that_a_contact_bears_out_is_certain() -> None:
    assert renewed(Pin(OFFSET, uncertain=True), contact(100)) == Pin(OFFSET, uncertain=False)


def test_an_early_receipt_moves_the_pin_at_once() -> None:
    assert renewed(Pin(OFFSET + 60 * SECOND, uncertain=False), contact(100)) == Pin(OFFSET, uncertain=False)


def test_one_late_frame_moves_nothing_and_is_forgotten_when_the_next_is_in_time() -> None:
    doubted = renewed(Pin(OFFSET, uncertain=False), contact(100, delay=30))
    assert doubted.offset == OFFSET
    assert doubted.suspect == 30 * SECOND
    assert renewed(doubted, contact(160)) == Pin(OFFSET, uncertain=False)


def test_frames_held_back_by_one_stall_do_not_confirm_each_other() -> None:
    pin = Pin(OFFSET, uncertain=False)
    for sent, delay in ((100, 300), (160, 240), (220, 180), (280, 120)):
        pin = renewed(pin, contact(sent, delay=delay))
        assert pin.offset == OFFSET
    assert renewed(pin, contact(460)) == Pin(OFFSET, uncertain=False)


def test_a_clock_that_lost_time_is_moved_by_the_smaller_of_two_skews() -> None:
    stopped = 3600
    pin = renewed(Pin(OFFSET, uncertain=False), contact(100, delay=stopped + 4))
    assert pin.offset == OFFSET
    pin = renewed(pin, contact(100 + PATIENCE / SECOND, delay=stopped + 1))
    assert pin == Pin(OFFSET + (stopped + 1) * SECOND, uncertain=False)


def test_what_is_not_live_says_nothing_about_a_pin() -> None:
    pin = Pin(OFFSET, uncertain=True, suspect=1, suspected=2)
    assert renewed(pin, contact(100, delay=999, live=False)) is pin


@given(
    wall=st.floats(-1e5, 1e5),
    delays=st.lists(st.floats(0, 60), min_size=1, max_size=30),
    gaps=st.lists(st.floats(1, 120), min_size=30, max_size=30),
)
def test_a_right_pin_is_never_moved_forward_by_delays_and_a_frame_in_time_mends_any_pin(
    wall: float, delays: list[float], gaps: list[float]
) -> None:
    """Whatever the wall clock and the delays, placement is never earlier than true by more than the tolerance, and
    later by no more than the delay that was seen."""
    sent, arrived, pin = 100.0, 0.0, None
    for delay, gap in zip(delays, gaps, strict=False):
        sent += gap
        arrived = max(arrived, sent + delay)
        now = contact(sent, delay=arrived - sent, wall=wall)
        pin = first_pin(now, 0, 0) if pin is None else renewed(pin, now)
        assert OFFSET - TOLERANCE <= pin.offset <= OFFSET + TOLERANCE + round(max(delays) * SECOND)
        if arrived == sent:
            assert abs(skew(pin, now)) <= TOLERANCE
