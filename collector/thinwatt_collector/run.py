"""The running collector: one thread between socket and ledger, a second one for readers.

    listen → (every ``commit_every``) commit → answer → publish

While the ledger fails nothing is answered and nothing more is received: the agents' spools hold what they have, and
/metrics goes on showing what was committed, with /readyz saying why it is not newer; power, after a while, no more.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from thinwatt_agent import __version__
from thinwatt_collector.book import Event, in_both
from thinwatt_collector.calibrated import archive
from thinwatt_collector.calibrating import Calibrator
from thinwatt_collector.catalogue import CATALOGUE
from thinwatt_collector.config import Config
from thinwatt_collector.control import Control
from thinwatt_collector.factors import FactorError
from thinwatt_collector.factors.grid.latest import Latest
from thinwatt_collector.factors.grid.then import Then
from thinwatt_collector.inventory import folding
from thinwatt_collector.inventory.watched import Watched
from thinwatt_collector.keeper import Keeper
from thinwatt_collector.keys import AllowList
from thinwatt_collector.ledger import LedgerError, open_ledger
from thinwatt_collector.ledger.compaction import Groups, Plan
from thinwatt_collector.listen import listen
from thinwatt_collector.models.devices import DeviceTable
from thinwatt_collector.publication import Doors
from thinwatt_collector.readers import LedgerBooks
from thinwatt_collector.receive import Receiver
from thinwatt_collector.restated import Restated
from thinwatt_collector.self_metrics import Gauges, registry
from thinwatt_collector.serve.api.access import Access, Owner
from thinwatt_collector.serve.api.books import UnreadableError
from thinwatt_collector.serve.api.calendar import clocks
from thinwatt_collector.serve.api.published import Published
from thinwatt_collector.serve.api.routes import Setting, create_api
from thinwatt_collector.serve.api.tokens import Tokens
from thinwatt_collector.serve.exposition import Family, LabelSet
from thinwatt_collector.snapshot import Rules
from thinwatt_collector.step import Step
from thinwatt_collector.upkeep import Upkeep, zone_of_days

log = logging.getLogger(__name__)

SECOND: Final = 1_000_000_000
BATCH: Final = 0.05
"""Pause after a small drain, so that frames are handled by the dozen [s]."""
LONGEST_RETRY: Final = 30.0
LONG_COMMIT: Final = 15.0
"""A commit that takes longer is told as one that fails [s]."""
OUTAGE: Final = "nothing was booked for {seconds} s: {why}"
OUTAGE_FR: Final = "rien n’a été comptabilisé pendant {seconds} s : {why}"
NO_LABELS: Final = LabelSet([""])


class Collector:
    """Everything built in one place; :meth:`turn` is one round of the loop.

    Raises:
        LedgerError, KeyFileError, FactorError, ZMQError, OSError: at the start, with what to do.
    """

    def __init__(self, config: Config, secret_key: bytes) -> None:
        self._config = config
        config.state.mkdir(parents=True, exist_ok=True)
        self._allow = AllowList(config.agents)
        self._ledger = open_ledger(config.ledger, config.ledger_memory)
        self._intensity = Latest(config.record, config.factors.get(config.booked_source, {}))
        assumed = DeviceTable.packaged(config.machines).of
        known_models = archive.read(config.state / archive.NAME)
        self._step = Step(self._ledger, assumed, self._intensity, config.policy, known_models, config.device_power)
        self._restated = Restated(config.state / "factors.json", config.booked_source, ZoneInfo(config.clocks))
        self.inventory = Watched(config.inventory, config.clocks, config.price)
        self._books = LedgerBooks(self._ledger, self._step)
        self._calibrator = Calibrator(self._books, config.state, assumed, clocks(config.clocks))
        access, known = Access(Tokens(config.tokens), config.anonymous), self.inventory.now
        published = Published(clocks(config.clocks), config.state / "published", known)
        then = Then(self._intensity, config.record)
        self._keeper = Keeper(self._books, published, then)
        setting = Setting(
            self,
            self._books,
            self._intensity,
            access,
            config.clocks,
            inventory=known,
            cells=published,
            booked=then,
            stale_after=config.stale_after,
            assumed=assumed,
            calibrations=self._calibrator,
            second_life=config.second_life,
            newest=lambda: (self._doors.at // SECOND, self._trouble),
        )
        self.api = create_api(setting)
        self.own_api = create_api(replace(setting, access=Owner()))
        self.receiver = Receiver(config.bind, secret_key, self._allow)
        self._control = Control(
            config.state, {"backup": self._backup, "status": self._status, "calibrate": self._learn}
        )
        self._gauges = Gauges(ledger_bytes=self._ledger.size(), calibrations=self._calibrator.now)
        self.registry, self._durations = registry(self._step.tallies, self.receiver.dropped, self._gauges)
        rules = Rules(config.per_device, config.stale_after)
        self._doors = Doors(rules, self._keeper.counters, self._intensity.method)
        self.access = access
        self._cloned: set[str] = set()
        self._last_commit = ""
        self._trouble = ""
        self._trouble_since = 0
        self._retry = 1.0
        self._next_try = 0.0
        self._next_commit = time.monotonic() + config.commit_every
        self._next_look = 0.0
        self._waiting_since = 0.0
        self._days = zone_of_days(config.clocks)
        self._upkeep = Upkeep(self._ledger, self._books, self._plan)
        self._untold = False
        self._tell_restated()
        self._publish()
        self.inventory.follow()
        self._keeper.start()
        self._calibrator.start()

    def families(self, technical: bool = False) -> Sequence[Family]:
        """Return the families of the last committed snapshot, and how old what is not in it may be."""
        return [
            *self._doors.families(technical, time.time_ns()),
            Family(CATALOGUE["thinwatt_oldest_unbooked_seconds"], NO_LABELS, self._unbooked()),
        ]

    def _unbooked(self) -> NDArray[np.float64]:
        since = self._trouble_since or self._step.oldest_uncommitted
        return np.array([max(0, time.time_ns() - since) / SECOND if since else 0.0])

    def ready(self) -> tuple[bool, list[str]]:
        """Return whether what is shown is up to date, and what a person should know.

        Everybody may read it, so no endpoint stands in it by its name (law 7): that is in the log.
        """
        said = [f"the ledger fails: {self._trouble}"] if self._trouble else []
        waits = time.monotonic() - since if (since := self._waiting_since) else 0.0
        if waits > LONG_COMMIT:
            said = [f"the ledger fails: it has not answered for {waits:.0f} s"]
        if not clock_synchronised():
            said.append("this machine's clock is not synchronised: slots may be placed wrongly; start an NTP client")
        conflicts = self._step.tallies.conflicts.now(time.time_ns())
        named = [a for a in conflicts if self._may_be_named(a)]
        said += [f"two machines are alive under the name {a}: a cloned key" for a in named]
        if len(named) < len(conflicts):
            said.append("two machines are alive under the name of one endpoint: a cloned key; the log names it")
        if any(d.kind == "unknown" for d in self._step.fleet.devices):
            said.append("some devices have no class, so no model estimates them: set class in [agent] there")
        well = not self._trouble and waits <= LONG_COMMIT
        return well, [*said, *self._doors.public.said, *self.inventory.now().said, *self._keeper.said]

    def _may_be_named(self, agent: str) -> bool:
        number = self._step.fleet.device_number(agent)
        return number is not None and self._doors.public.may_be_named(self._step.fleet.devices[number])

    def turn(self) -> None:
        """Receive for a while; commit when it is time."""
        now = time.monotonic()
        left = max(0.0, self._next_commit - now)
        if not self._trouble:
            self._receive(min(left, 0.2))
        elif now < self._next_try:
            time.sleep(min(0.2, self._next_try - now))
        else:
            self._recover()
        self._control.serve()
        self._books.serve()
        full = self._step.uncommitted_bytes >= self._config.hold
        if not self._trouble and (full or time.monotonic() >= self._next_commit):
            self.commit()
        if not self._trouble:
            self._look_after()

    def _receive(self, timeout: float) -> None:
        heard = listen(self.receiver, self._step, int(timeout * 1000), int(self._config.hold))
        self._gauges.uncommitted_bytes = self._step.uncommitted_bytes
        if heard and self._step.uncommitted_bytes < self._config.hold:
            time.sleep(min(BATCH, timeout))

    def commit(self) -> None:
        """Book what was taken, answer, publish."""
        start = time.monotonic()
        self._next_commit = start + self._config.commit_every
        try:
            with self._durations.time():
                self._waiting_since = start
                for reply in self._step.commit(time.time_ns()):
                    self.receiver.send(reply.route, reply.data)
                self._catch_up()
                self._publish()
        except LedgerError as error:
            self._fail(error)
            return
        finally:
            self._waiting_since = 0.0
        self._gauges.commits += 1
        self._last_commit = datetime.now(UTC).isoformat(" ", "seconds")
        self._gauges.uncommitted_bytes = 0
        self._healed()

    def _catch_up(self) -> None:
        """Take in what other collectors booked, so rarely that it takes a twentieth of the time at most."""
        began = time.monotonic()
        if began >= self._next_look:
            self._step.catch_up()
            self._next_look = began + 20 * (time.monotonic() - began)

    def _tell_restated(self) -> None:
        """Note what the factors' publishers have changed since the carbon was last worked out."""
        try:
            told = self._restated.events(self._intensity, self._config.record, self._booked)
        except (FactorError, UnreadableError) as error:
            log.warning("%s", error)
            return
        for text in told:
            log.info("%s", text)
            self.note("restated", "carbon", text)
        self._untold = True

    def _booked(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return slots and their energy [J]: that of each hour, evenly; what is made up is left out."""
        reader = self._books.reader()
        try:
            first, end = reader.first(), (int(time.time()) // 900 + 1) * 900
            if first is None:
                return np.zeros(0, np.int64), np.zeros(0)
            rows = reader.energy(first, max(first, end), "hour", "UTC", (), {"simulated": ("false",)})
            slots = np.repeat(rows.begin // 900, 4) + np.tile(np.arange(4), len(rows))
            return slots, np.repeat(rows.joules / 4.0, 4)
        finally:
            reader.close()

    def _healed(self) -> None:
        if self._untold:
            try:
                self._restated.told(self._intensity)
            except OSError as error:
                log.warning("%s/factors.json cannot be written: %s", self._config.state, error.strerror)
            self._untold = False
        if not self._gauges.ledger_up:
            log.warning("the ledger takes transactions again")
        self._gauges.ledger_up, self._retry, self._trouble, self._trouble_since = True, 1.0, "", 0
        self._books.trouble = ""

    def _fail(self, error: LedgerError) -> None:
        if self._gauges.ledger_up:
            log.error("%s; nothing is answered until it works, the agents keep what they have", error)
        self._gauges.failed_commits += 1
        self._trouble_since = self._trouble_since or time.time_ns()
        self._gauges.ledger_up = False
        self._trouble = self._books.trouble = str(error)
        self._next_try = time.monotonic() + self._retry
        self._retry = min(2 * self._retry, LONGEST_RETRY)

    def _recover(self) -> None:
        """Open the ledger again, read the fleet from it and enter the outage: only a commit shows that it holds."""
        try:
            self._step.rebuild()
        except LedgerError as error:
            self._fail(error)
            return
        lasted = (time.time_ns() - self._trouble_since) / SECOND
        text = in_both(OUTAGE_FR, OUTAGE).format(seconds=round(lasted), why=self._trouble)
        self.note("ledger_outage", "ledger", text)
        self.commit()

    def _publish(self) -> None:
        step, now = self._step, time.time_ns()
        conflicts = step.tallies.conflicts.now(now)
        for agent in set(conflicts) - self._cloned:
            log.warning("two machines are alive under the name %s: a cloned key", agent)
        self._cloned = set(conflicts)
        self._doors.publish(step.fleet, step.tallies.skew, conflicts, now)

    def _look_after(self) -> None:
        try:
            if self._upkeep.turn():
                self._gauges.ledger_bytes = self._ledger.size()
                self._step.fleet.forget_silent(int((time.time() - 2 * 86_400) * SECOND))
                self._refresh_factors()
            self._adopt()
        except LedgerError as error:
            self._fail(error)

    def _learn(self, _: dict[str, object]) -> dict[str, object]:
        """Calibrate now, instead of tonight."""
        self.commit()
        self._calibrator.look(int(time.time()))
        return {"said": self._adopt()}

    def _adopt(self) -> list[str]:
        """Book by what was learnt from when it holds; the thread that commits is the one that says when."""
        try:
            told = self._calibrator.adopt(int(time.time()))
        except (OSError, UnreadableError) as error:
            log.warning("what metered machines say is not kept: %s", error)
            return []
        if told:
            self._step.fleet.powers.calibrate(self._calibrator.now())
        for text in told:
            log.info("%s", text)
            self.note("calibrated", "models", text)
        return told

    def _refresh_factors(self) -> None:
        try:
            if self._intensity.refresh():
                self._tell_restated()
        except FactorError as error:
            log.warning("%s; what was read before stays in use", error)

    def _plan(self) -> Plan:
        """Return what is folded and forgotten as of now."""
        config = self._config
        return Plan(
            self._days,
            keep_slots=int(config.keep_slots),
            keep_endpoints=int(config.keep_endpoints),
            dimension=folding.DIMENSION,
            groups=self._groups,
        )

    def _groups(self, time: int) -> Groups:
        """Return where endpoints stood, for what is kept of them."""
        endpoints = [folding.Endpoint(d.id, d.name, d.kind, d.simulated) for d in self._step.fleet.devices]
        return folding.folded(self.inventory.now().places, endpoints, time)

    def _backup(self, request: dict[str, object]) -> dict[str, object]:
        if self._trouble:
            raise LedgerError(f"no backup while the ledger fails: {self._trouble}")
        self.commit()
        path = str(request["path"])
        return {"path": path, "bytes": self._ledger.backup(path)}

    def _status(self, _: dict[str, object]) -> dict[str, object]:
        """Return what the owner asks of a running collector: names may stand in it."""
        ready, said = self.ready()
        step, now = self._step, time.time_ns()
        fleet = step.fleet
        newest: dict[str, int] = {}
        for row, heard in zip(fleet.stream_rows, fleet.stream["seen"].tolist(), strict=True):
            newest[row[0]] = max(heard, newest.get(row[0], 0))
        return {
            "ready": ready,
            "said": said,
            "version": __version__,
            "devices": dict(sorted(Counter(d.kind for d in fleet.devices).items())),
            "agents": len(newest),
            "silent": sum(now - seen > self._config.stale_after * SECOND for seen in newest.values()),
            "refused": {name: asdict(found) for name, found in sorted(step.tallies.refusals.now().items())},
            "last_commit": self._last_commit,
            "oldest_unbooked": float(self._unbooked()[0]),
            "ledger": str(self._ledger),
            "ledger_bytes": self._ledger.size(),
        }

    def note(self, kind: str, subject: str, text: str) -> None:
        """Have an event written with the next commit."""
        self._step.note(Event(time.time_ns(), kind, subject, text))

    def close(self) -> None:
        """Take what has arrived, commit, answer, close."""
        self.inventory.close()
        self._keeper.close()
        self._calibrator.close()
        if not self._trouble:
            self._receive(0.0)
            self.commit()
        self.receiver.close()
        self._control.close()
        self._ledger.close()


def clock_synchronised(state: Path = Path("/run/systemd/timesync/synchronized")) -> bool:
    """Return whether the kernel, or the system's time service, says that this machine's clock is synchronised."""
    import ctypes

    unsynchronised = 5  # TIME_ERROR of adjtimex(2)
    try:
        buffer = ctypes.create_string_buffer(512)
        return bool(ctypes.CDLL(None, use_errno=True).adjtimex(buffer) != unsynchronised)
    except (OSError, AttributeError):
        return state.exists()
