"""18,000 agents that all connect at once: time until each is answered, CPU a handshake, memory a peer, frames lost.

Real CURVE connections, each with a key and a name of its own, to the real receiver with its list of keys; then a frame
of 6 rows from each, booked by the real step in the durable ledger, and its answer. Connections that the receiver gives
up (a handshake has 10 s) come back, and frames without an answer are sent again, as agents do it. The agents' sides
run in processes on the same cores: the times are theirs as well, the CPU and the memory are the collector's alone.
"""

from __future__ import annotations

import random
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

import numpy as np
import zmq

from benchmarks.campus import INTERVAL, ROWS, SECOND, Campus, host
from benchmarks.measure import Figure, Spread, own_rss, parser, report
from benchmarks.pipeline import Pipeline
from tests.invariants.processes import free_port
from thinwatt_agent import wire
from thinwatt_collector.keys import AllowList
from thinwatt_collector.receive import Receiver

PEERS: Final = 18_000
"""What a process may have open here is 20,000 files."""
A_PROCESS: Final = 4_500
"""Connections of one process of clients: two to three files each."""
COMMIT: Final = 10.0
HOLD: Final = 64 << 20
AGAIN: Final = 30.0
"""A frame is sent again when there is no answer for so long [s]."""
PATIENCE: Final = 600.0
LOOK: Final = 0.2


@dataclass(slots=True)
class Seen:
    """The collector as it stands; CPU in s, ``threads`` is what is not the main thread's: encryption and the door."""

    connected: int = 0
    frames: int = 0
    answers: int = 0
    booked: int = 0
    cpu: float = 0.0
    threads: float = 0.0
    rss: int = 0
    dropped: dict[str, int] = field(default_factory=dict)


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--peers", type=int, default=None, metavar="N", help=f"agents; {PEERS:,} if not given")
    chosen = options.parse_args()
    peers = chosen.peers or (1_000 if chosen.quick else PEERS)
    with tempfile.TemporaryDirectory(prefix="thinwatt-bench-") as folder:
        _run(Path(folder), peers)


def _run(folder: Path, peers: int) -> None:
    names, secrets = _keys(folder / "agents", peers)
    public, secret = zmq.curve_keypair()
    address = f"tcp://127.0.0.1:{free_port()}"
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    collector = context.Process(target=_collector, args=(theirs, folder, address, secret), daemon=True)
    collector.start()
    before: Seen = ours.recv()
    pipes: list[Connection] = []
    for start in range(0, peers, A_PROCESS):
        end, pipe = context.Pipe()
        mine = secrets[start : start + A_PROCESS]
        context.Process(target=_clients, args=(pipe, address, public, mine, start), daemon=True).start()
        pipes.append(end)
    for pipe in pipes:
        pipe.recv()  # its sockets are made, its frames as well
    begin = time.monotonic()
    for pipe in pipes:
        pipe.send("connect")
    connected = _until(ours, lambda seen: seen.connected == peers, f"{peers:,} connections")
    handshakes = time.monotonic() - begin
    for pipe in pipes:
        pipe.send("frames")
    sent = time.monotonic()
    told = [pipe.recv() for pipe in pipes]
    answered = time.monotonic() - sent
    after = _ask(ours)
    for pipe in pipes:
        pipe.send("end")
    ours.send("end")
    collector.join(60)
    _tell(peers, len(names), (before, connected, after), (handshakes, answered), told)


def _keys(path: Path, peers: int) -> tuple[list[str], list[tuple[bytes, bytes]]]:
    """Write the list of keys; return names and pairs (public, secret)."""
    names = [f"host-{n:06d}" for n in range(peers)]
    pairs = [zmq.curve_keypair() for _ in names]
    path.write_text("".join(f"{name} {public.decode()}\n" for name, (public, _) in zip(names, pairs, strict=True)))
    return names, pairs


def _ask(pipe: Connection) -> Seen:
    pipe.send("look")
    found: Seen = pipe.recv()
    return found


def _until(pipe: Connection, done: Callable[[Seen], bool], text: str) -> Seen:
    limit = time.monotonic() + PATIENCE
    while True:
        seen = _ask(pipe)
        if done(seen):
            return seen
        if time.monotonic() > limit:
            raise TimeoutError(f"not within {PATIENCE:g} s: {text}; {seen}")
        time.sleep(LOOK)


def _tell(
    peers: int, known: int, stages: tuple[Seen, Seen, Seen], walls: tuple[float, float], told: Sequence[tuple[int, int]]
) -> None:
    before, connected, after = stages
    handshakes, answered = walls
    answers, again = (sum(t[i] for t in told) for i in (0, 1))
    lost = peers - min(answers, after.booked)

    def one(name: str, value: float, unit: str, aim: str = "", reached: bool | None = None) -> Figure:
        return Figure(name, Spread(value, value, value, 1), unit, aim, reached, f"{peers:,} agents, all at once")

    kibibyte = 1024 * peers
    report(
        "connections",
        [
            one("agents connected and answered", min(answers, after.booked), "", f"{peers:,}", lost == 0),
            one("frames lost", lost, "", "0", lost == 0),
            one("all connected, every hello read", handshakes, "s"),
            one("all frames booked and answered, from then", answered, "s"),
            one("CPU a handshake and hello", 1e3 * (connected.cpu - before.cpu) / peers, "ms"),
            one("of it encryption and the door", 1e3 * (connected.threads - before.threads) / peers, "ms"),
            one("CPU a frame received, booked and answered", 1e3 * (after.cpu - connected.cpu) / peers, "ms"),
            one("memory a peer, connected and described", (connected.rss - before.rss) / kibibyte, "KiB"),
            one("memory a peer, after its first frame", (after.rss - before.rss) / kibibyte, "KiB"),
        ],
        [
            f"{known:,} names with a key each; {len(told)} processes of clients on the same cores",
            f"{again} frames were sent again; dropped by the receiver: {after.dropped or 'nothing'}",
            (
                f"{peers / handshakes:,.0f} handshakes a second; RSS {before.rss >> 20} → {connected.rss >> 20} → "
                f"{after.rss >> 20} MiB"
            ),
        ],
    )
    if lost:
        raise SystemExit(f"{lost} frames were lost")


# The collector's process


def _collector(pipe: Connection, folder: Path, address: str, secret: bytes) -> None:
    _open_files()
    line = Pipeline(folder)
    receiver = Receiver(address, secret, AllowList(folder / "agents"))
    seen, heard = Seen(), set[str]()
    _look(seen, receiver)
    pipe.send(seen)
    due = time.monotonic() + COMMIT
    while True:
        messages = receiver.drain(50, HOLD)
        for m in messages:
            if wire.kind_of(m.data)[1] == wire.HELLO:
                heard.add(m.agent)
            else:
                seen.frames += 1
        replies = line.steps.take(messages)
        if time.monotonic() >= due:
            due = time.monotonic() + COMMIT
            replies += line.step((), time.time_ns())[0]
            seen.booked = len(line.steps.fleet.devices)
        for reply in replies:
            receiver.send(reply.route, reply.data)
        seen.answers += len(replies)
        while pipe.poll(0):
            if pipe.recv() == "end":
                receiver.close()
                return
            seen.connected = len(heard)
            _look(seen, receiver)
            pipe.send(seen)


def _look(seen: Seen, receiver: Receiver) -> None:
    cpu = time.process_time()
    seen.cpu, seen.threads, seen.rss = cpu, cpu - time.thread_time(), own_rss()
    seen.dropped = dict(receiver.dropped)


# The agents' processes


def _clients(pipe: Connection, address: str, server: bytes, pairs: Sequence[tuple[bytes, bytes]], first: int) -> None:
    _open_files()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    context.set(zmq.MAX_SOCKETS, 2 * len(pairs) + 16)
    start = time.time_ns() - (ROWS + 1) * INTERVAL * SECOND
    campus = Campus(len(pairs), host(), start, seed=first + 1)
    frames = campus.frames(np.arange(len(pairs)))
    sockets = [_dealer(context, server, *pair) for pair in pairs]
    pipe.send(None)
    pipe.recv()
    for s in sockets:
        s.connect(address)
        s.send(campus.hello)
    pipe.recv()
    pipe.send(_deliver(sockets, frames))
    pipe.recv()
    context.destroy(linger=0)


def _dealer(context: zmq.Context[zmq.Socket[bytes]], server: bytes, public: bytes, secret: bytes) -> zmq.Socket[bytes]:
    s = context.socket(zmq.DEALER)
    s.curve_serverkey, s.curve_publickey, s.curve_secretkey = server, public, secret
    s.linger, s.handshake_ivl = 0, 0
    s.reconnect_ivl, s.reconnect_ivl_max = random.randint(500, 2_000), 30_000
    return s


def _deliver(sockets: Sequence[zmq.Socket[bytes]], frames: Sequence[bytes]) -> tuple[int, int]:
    """Send every frame until it is answered; return how many were, and how many were sent more than once."""
    waiting: dict[int, float] = {}
    limit = time.monotonic() + PATIENCE
    for n, s in enumerate(sockets):
        s.send(frames[n])
        waiting[n] = time.monotonic()
    again = 0
    while waiting and time.monotonic() < limit:
        for n, sent in list(waiting.items()):
            with suppress(zmq.Again):
                if _answers(sockets[n].recv(zmq.NOBLOCK), frames[n]):
                    del waiting[n]
                    continue
            if time.monotonic() - sent > AGAIN:
                sockets[n].send(frames[n], zmq.NOBLOCK)
                waiting[n] = time.monotonic()
                again += 1
        time.sleep(LOOK)
    return len(sockets) - len(waiting), again


def _answers(message: bytes, frame: bytes) -> bool:
    """Whether a message says that all rows of a frame are booked."""
    if wire.kind_of(message)[1] != wire.ANSWER:
        raise RuntimeError(f"the collector refuses: {wire.decode_refusal(message)}")
    answer = wire.decode_answer(message)
    return answer.stream == frame[8:24] and answer.position == ROWS


def _open_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    main()
