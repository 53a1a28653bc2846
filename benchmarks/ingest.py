"""Values a core-second takes in, beside VictoriaMetrics' remote write of as many values in the same run.

VictoriaMetrics stores raw series and indexes their labels; thinwatt checks, integrates and stores slots: what is
compared is the cost of taking in what a fleet says, not two databases. Ours: real sockets with CURVE, the receiver,
acceptance, integration, durable DuckDB commits, answers, in ``run``'s loop with its own settings; beside it the same
frames received, checked and answered but not booked, and such as are received and nothing else: no collector in Python
behind such a socket could do better. Theirs: one node of the Debian package, new samples of
known series (the pass that makes the series is not counted), 10,000 a request, all in one literal snappy block, which
is the cheapest to unpack. As Prometheus sends them, each sample with its labels: once with the fewest that a scraped
series has (name, instance, job), once with what our schema and hello say of each column (class, model, part, scope,
basis) besides; and as nobody's Prometheus does, a series' six samples of a minute behind one set of the fewest labels.
Only the servers' CPU counts, not the senders'.
"""

from __future__ import annotations

import http.client
import resource
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

import numpy as np
import zmq

from benchmarks.campus import INTERVAL, ROWS, SECOND, Campus, Kind, gateway, host
from benchmarks.measure import Figure, cpu_seconds, parser, report, spread
from benchmarks.pipeline import Pipeline
from thinwatt_agent import wire
from thinwatt_collector import decode
from thinwatt_collector.keys import AllowList
from thinwatt_collector.listen import BITE, listen
from thinwatt_collector.receive import HANDSHAKE, QUEUE, Receiver
from thinwatt_collector.run import BATCH

COMMIT: Final = 5.0
"""Half the collector's own: while senders wait for it the loop turns idly, on our account [s]."""
HOLD: Final = 64 << 20
FEW_AGENTS: Final = 300
"""Fewer series are cheaper for VictoriaMetrics: it is asked with as many as we are, and with so many agents' alone."""
SAMPLES_A_REQUEST: Final = 10_000
SETTLE: Final = 2.0
"""What VictoriaMetrics does with new samples within so many seconds belongs to taking them in."""
VICTORIA: Final = "victoria-metrics"
SENTENCE: Final = (
    "VictoriaMetrics stores raw series, thinwatt stores slots: this is the cost of taking in, not of one job"
)


@dataclass(frozen=True, slots=True)
class Load:
    """Agents of one kind, and how many minutes of rows each sends as fast as it is taken."""

    name: str
    kind: Kind
    agents: int
    minutes: int
    aim: float

    @property
    def values(self) -> int:
        """Values of one pass."""
        return self.kind.values * self.agents * self.minutes


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--passes", type=int, default=None)
    chosen = options.parse_args()
    small = chosen.quick
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    loads = [
        Load("frames of one device, 6 rows", host(), 200 if small else 3_000, 4 if small else 6, 10.0),
        Load("frames of a gateway of 100 devices", gateway(), 8 if small else 64, 4 if small else 8, 50.0),
    ]
    passes = chosen.passes or (2 if small else 5)
    figures, notes = [], [SENTENCE]
    few = replace(loads[0], agents=min(FEW_AGENTS, loads[0].agents))
    unit = "M values a core-second"
    theirs = {
        name: spread([1e-6 * v for v in victoria(load, passes, together, described=described)])
        for name, load, together, described in (
            ("three labels", loads[0], 1, False),
            ("the columns' descriptions as labels", loads[0], 1, True),
            ("three labels, few series", few, 1, False),
            ("three labels, few series, six samples each", few, ROWS, False),
        )
    }
    figures += [Figure(f"VictoriaMetrics, {name}", seen, unit, "", None, "itself") for name, seen in theirs.items()]
    for load in loads:
        bare, checked, ours = ([1e-6 * v for v in collector(load, passes, serve)] for serve in (_hear, _answer, _serve))
        figures.append(Figure(f"{load.name}, received and nothing else", spread(bare), unit, "", None, "itself"))
        figures.append(Figure(f"{load.name}, not booked", spread(checked), unit, "", None, "itself"))
        figures.append(Figure(load.name, spread(ours), unit, "", None, "itself"))
        share = spread([v / spread(bare).median for v in ours])
        figures.append(Figure(f"{load.name}, of what the socket alone takes", share, "", "", None, "its median"))
        for name, seen in list(theirs.items())[:3]:
            ratio = spread([v / seen.median for v in ours])
            reached, aim = ratio.median >= load.aim, f"≥ {load.aim:g}"
            figures.append(Figure(f"{load.name}, times VictoriaMetrics, {name}", ratio, "", aim, reached, "its median"))
        notes.append(f"{load.name}: {load.values:,} values a pass, {8 * load.kind.values:,} bytes of values a frame")
    report("ingest", figures, notes)


# Ours


def collector(load: Load, passes: int, serve: Callable[[Connection, str, int], None]) -> list[float]:
    """Return the values a core-second of each pass, of a collector that is :func:`_serve` or one that does less."""
    with tempfile.TemporaryDirectory() as folder:
        keys = [zmq.curve_keypair() for _ in range(load.agents)]
        campus = Campus(load.agents, load.kind, time.time_ns() - 86_400 * SECOND)
        lines = [f"{name} {public.decode()}\n" for name, (public, _) in zip(campus.names, keys, strict=True)]
        (Path(folder) / "agents").write_text("".join(lines))
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs, folder, load.minutes), daemon=True)
        process.start()
        address, server_key = ours.recv()
        sender = _Sender(campus, keys, address, server_key)
        sender.exchange([campus.frames(np.arange(load.agents))])  # hellos, streams, names: once in their lives
        found = []
        for _ in range(passes):
            batches = [campus.frames(np.arange(load.agents)) for _ in range(load.minutes)]
            before = cpu_seconds(process.pid or 0)
            sender.exchange(batches)
            found.append(load.values / (cpu_seconds(process.pid or 0) - before))
        ours.send(None)
        booked = ours.recv()
        process.join()
        sender.close()
        rows = load.agents * ROWS * (load.minutes * passes + 1)
        if booked != rows:
            raise RuntimeError(f"{booked} rows are booked, {rows} were sent")
        return found


def _serve(pipe: Connection, folder: str, _: int) -> None:
    public, secret = zmq.curve_keypair()
    line = Pipeline(Path(folder))
    receiver = Receiver("tcp://127.0.0.1:*", secret, AllowList(Path(folder) / "agents"))
    pipe.send((receiver.address, public))
    due = time.monotonic() + COMMIT
    while not pipe.poll(0):
        if listen(receiver, line.steps, 200, HOLD) and line.steps.uncommitted_bytes < HOLD:
            time.sleep(BATCH)
        if time.monotonic() >= due or line.steps.uncommitted_bytes >= HOLD:
            for reply in line.step([], time.time_ns())[0]:
                receiver.send(reply.route, reply.data)
            due = time.monotonic() + COMMIT
    pipe.send(line.steps.tallies.rows)
    receiver.close()


def _answer(pipe: Connection, folder: str, _: int) -> None:
    """Answer every frame that is sound, without booking it."""
    public, secret = zmq.curve_keypair()
    receiver = Receiver("tcp://127.0.0.1:*", secret, AllowList(Path(folder) / "agents"))
    pipe.send((receiver.address, public))
    rows = 0
    while not pipe.poll(0):
        messages = receiver.drain(50, BITE)
        for message in messages:
            checked = decode.checked(message)
            if isinstance(checked, decode.Rejected) or checked[1] == wire.HELLO:
                continue
            answer, count = _answer_to(message.data)
            receiver.send(message.route, answer)
            rows += count
    pipe.send(rows)
    receiver.close()


def _answer_to(data: bytes) -> tuple[bytes, int]:
    """Return what says that a frame is booked, and the number of its rows."""
    (count,) = struct.unpack_from("<I", data, wire.ROWS_OFFSET - 8)
    (last,) = struct.unpack_from("<Q", data, wire.ROWS_OFFSET + 8 * (count - 1))
    return wire.encode_answer(wire.Answer(data[8:24], last, time.time_ns(), wire.VERSION)), count


def _hear(pipe: Connection, _: str, minutes: int) -> None:
    """Receive messages and look at none; answer once a pass."""
    public, secret = zmq.curve_keypair()
    context = zmq.Context()
    router = context.socket(zmq.ROUTER)
    router.curve_server, router.curve_secretkey, router.rcvhwm, router.linger = True, secret, QUEUE, 1000
    router.backlog, router.handshake_ivl = 4096, HANDSHAKE
    router.bind("tcp://127.0.0.1:*")
    pipe.send((router.getsockopt_string(zmq.LAST_ENDPOINT), public))
    heard: Counter[bytes] = Counter()
    while not pipe.poll(0):
        if not router.poll(50):
            continue
        while True:
            try:
                route = router.recv(zmq.NOBLOCK)
            except zmq.Again:
                break
            message = router.recv(zmq.NOBLOCK, copy=False)
            heard[route] += 1
            if heard[route] >= 2 and (heard[route] - 2) % minutes == 0:  # a hello and a first frame, then the passes
                router.send_multipart([route, _answer_to(message.bytes)[0]])
        time.sleep(BATCH)
    pipe.send(ROWS * (heard.total() - len(heard)))
    context.destroy()


class _Sender:
    """One connection an agent, each with its own key; a few frames in flight on each, as the agent has it."""

    WINDOW: Final = 8

    def __init__(self, campus: Campus, keys: list[tuple[bytes, bytes]], address: str, server_key: bytes) -> None:
        self._context = zmq.Context()
        self._context.set(zmq.MAX_SOCKETS, 2 * len(keys) + 64)
        self._sockets = []
        for public, secret in keys:
            s = self._context.socket(zmq.DEALER)
            s.curve_publickey, s.curve_secretkey, s.curve_serverkey, s.linger = public, secret, server_key, 0
            s.connect(address)
            s.send(campus.hello)
            self._sockets.append(s)
        self._poller = zmq.Poller()
        for s in self._sockets:
            self._poller.register(s, zmq.POLLIN)

    def exchange(self, batches: list[list[bytes]]) -> None:
        """Send every agent's frames in order and wait until the last of each is answered."""
        queues = {s: [batch[i] for batch in batches] for i, s in enumerate(self._sockets)}
        sent, answered = dict.fromkeys(self._sockets, 0), dict.fromkeys(self._sockets, 0)
        last = {s: _last_tick(q[-1]) for s, q in queues.items()}
        ticks = {s: [_last_tick(m) for m in q] for s, q in queues.items()}
        waiting = set(self._sockets)
        limit = time.monotonic() + 300
        while waiting:
            if time.monotonic() > limit:
                raise RuntimeError(f"{len(waiting)} agents wait for answers")
            for s in waiting:
                while sent[s] < len(queues[s]) and sent[s] - answered[s] < self.WINDOW:
                    s.send(_stamped(queues[s][sent[s]]))
                    sent[s] += 1
            for s, _ in self._poller.poll(1000):
                message = s.recv()
                if wire.kind_of(message)[1] != wire.ANSWER:
                    raise RuntimeError(str(wire.decode_refusal(message)))
                position = wire.decode_answer(message).position
                answered[s] = max(answered[s], sum(t <= position for t in ticks[s]))
                if position >= last[s]:
                    waiting.discard(s)

    def close(self) -> None:
        """Close all connections."""
        self._context.destroy(linger=0)


def _stamped(message: bytes) -> bytes:
    """Return the frame as sent now: the clocks of a live agent agree."""
    return wire.restamp(message, replace(wire.rows_header(message), sent=time.time_ns()))


def _last_tick(message: bytes) -> int:
    return int(wire.decode_rows(message)[1][-1])


# Theirs


def victoria(load: Load, passes: int, together: int, *, described: bool) -> list[float]:
    """Return the samples a core-second of each pass, ``together`` samples of a series behind one set of labels."""
    labels = _labels(load, described=described)
    program = shutil.which(VICTORIA)
    if program is None:
        raise SystemExit(f"{VICTORIA} is not installed: apt-get install victoria-metrics")
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        command = [
            program,
            f"-storageDataPath={folder}/data",
            f"-httpListenAddr=127.0.0.1:{port}",
            "-retentionPeriod=1y",
        ]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _await(port)
            series = len(labels)
            first = time.time_ns() // 1_000_000 - 86_400_000
            _post(port, list(_requests(labels, first, 1, 1)))
            found = []
            for n in range(passes):
                start = first + (n * load.minutes + 1) * ROWS * INTERVAL * 1000
                requests = list(_requests(labels, start, load.minutes * ROWS, together))
                before = cpu_seconds(process.pid)
                _post(port, requests)
                time.sleep(SETTLE)
                found.append(series * load.minutes * ROWS / (cpu_seconds(process.pid) - before))
            taken, sent = _taken(port), series * (1 + passes * load.minutes * ROWS)
            if taken != sent:
                raise RuntimeError(f"{VICTORIA} took {taken} samples, {sent} were counted as sent")
            return found
        finally:
            process.terminate()
            process.wait()


def _await(port: int) -> None:
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit(f"{VICTORIA} did not come up")


def _taken(port: int) -> int:
    """Return how many samples it says that it took by remote write."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    connection.close()
    return sum(int(x.split()[1]) for x in lines if x.startswith('vm_rows_inserted_total{type="promremotewrite"'))


def _post(port: int, requests: list[bytes]) -> None:
    """Send requests over four connections."""
    failed: list[str] = []

    def work(mine: list[bytes]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for body in mine:
            connection.request("POST", "/api/v1/write", body, {"Content-Encoding": "snappy"})
            answer = connection.getresponse()
            answer.read()
            if answer.status != 204:
                failed.append(f"status {answer.status}")
        connection.close()

    threads = [threading.Thread(target=work, args=(requests[i::4],)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise RuntimeError(failed[0])


def _requests(labels: list[bytes], start: int, samples: int, each: int) -> list[bytes]:
    """Return requests of about 10,000 samples, ``each`` of a series behind one set of labels."""
    random = np.random.default_rng(samples)
    series = len(labels)
    a_request = max(1, SAMPLES_A_REQUEST // each)
    out = []
    for minute in range(0, samples, each):
        values = random.random((series, each)) * 1e6
        for low in range(0, series, a_request):
            body = bytearray()
            for i in range(low, min(low + a_request, series)):
                one = bytearray(labels[i])
                for k in range(each):
                    at = start + (minute + k) * INTERVAL * 1000
                    sample = b"\x09" + struct.pack("<d", values[i, k]) + b"\x10" + _varint(at)
                    one += b"\x12" + _varint(len(sample)) + sample
                body += b"\x0a" + _varint(len(one)) + one
            out.append(_literal(bytes(body)))
    return out


def _labels(load: Load, *, described: bool) -> list[bytes]:
    """Return the encoded labels of every series: a column of a host each."""
    columns = [c for group in load.kind.schema.groups for c in group.columns]
    machine = {name: load.kind.machine[name] for name in ("class", "model")}
    found = []
    for agent in range(load.agents):
        for n, c in enumerate(columns):
            named = {"__name__": f"thinwatt_column_{n}", "instance": f"host-{agent:06d}:9100", "job": "thinwatt-hosts"}
            if described:
                more = {**machine, "part": c.part, "scope": c.scope, "basis": c.basis}
                named |= {"__name__": f"thinwatt_{c.source}_{c.quantity}"} | {k: v for k, v in more.items() if v}
            found.append(b"".join(_label(*pair) for pair in sorted(named.items())))
    return found


def _label(name: str, value: str) -> bytes:
    pair = b"".join(tag + _varint(len(t)) + t for tag, t in ((b"\x0a", name.encode()), (b"\x12", value.encode())))
    return b"\x0a" + _varint(len(pair)) + pair


def _varint(n: int) -> bytes:
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def _literal(body: bytes) -> bytes:
    """Return ``body`` as a snappy block of one literal."""
    return _varint(len(body)) + b"\xfc" + (len(body) - 1).to_bytes(4, "little") + body


if __name__ == "__main__":
    main()
