"""After everything that was done to them: let everything arrive, end everything, and look."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial

from tests.invariants import laws, pages
from tests.invariants.processes import Agents, Collector, wait_for


def settle(collector: Collector, agents: Sequence[Agents], patience: int = 6) -> laws.Books:
    """Let everything arrive, end everything as an administrator does, and return what the ledger holds at last.

    The last row of every agent is taken after it was asked to end, and is in the ledger then.
    """
    machines = [m for a in agents for m in a.machines]
    before = joules(collector)
    for a in agents:
        if not a.running:
            a.start()
    for m in machines:
        wait_for(partial(heard, collector, m.name, before[m.name]), f"{m.name} is heard")
    since = {m.name: at for a in agents for at in [a.terminate()] for m in a.machines}
    for a in agents:
        assert a.ended() == 0, a.said()[-3000:]
    shown = pages.booked(collector.page("/metrics")[1])
    collector.down()
    books = laws.of(collector)
    late = [m.name for m in machines if not books.of(m.name) or books.of(m.name)[-1].t_pos < since[m.name]]
    laws.check(books, machines, whole=not late)
    if late:  # an agent on a disk need not wait for an answer before it ends
        print(f"asked to end too early: {late}")
        assert patience, f"rows that are never booked: {late}"
        collector.up()
        return settle(collector, agents, patience - 1)
    pages.are_committed(shown, books, same=True)
    return books


def joules(collector: Collector) -> dict[str, float]:
    """Return what is shown of the energy of each device."""
    found: dict[str, float] = defaultdict(float)
    for (family, labels), amount in pages.booked(collector.page("/metrics")[1]).items():
        if family == "DEVICE_ENERGY":
            found[dict(labels)["device"]] += amount
    return found


def heard(collector: Collector, name: str, before: float) -> bool:
    """Return whether more joules of a device are shown than before."""
    return joules(collector)[name] > before


def booked_more(collector: Collector) -> None:
    """Wait until more is booked than now."""
    before = pages.booked(collector.page("/metrics")[1])
    wait_for(lambda: pages.booked(collector.page("/metrics")[1]) not in (before, {}), "more is booked")
