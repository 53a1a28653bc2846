"""The way out to public servers, against a real one on loopback: patience, faults of every kind, the kept answer."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from tests.collector.factors.peers import HTML, Fault, Servers, servers
from thinwatt_collector.fetch import Fetcher, FetchError, Patience, write_atomic

NOW = 1_750_000_000.0


@pytest.fixture
def peer() -> Iterator[Servers]:
    with servers() as found:
        found.britain = [{"from": "2025-01-01T00:00Z", "to": "2025-01-01T00:30Z", "intensity": {"actual": 1}}]
        yield found


def address(peer: Servers) -> str:
    return f"{peer.url}/intensity/2025-01-01T00:00Z/2025-01-02T00:00Z"


def rows(body: bytes) -> int:
    return len(json.loads(body)["data"])


def fetcher(pauses: list[float] | None = None, **more: Any) -> Fetcher:
    waits = pauses if pauses is not None else []
    return Fetcher(**({"sleep": waits.append, "now": lambda: NOW, "spread": lambda: 1.0} | more))


def test_an_answer_is_what_the_reader_makes_of_it(peer: Servers) -> None:
    assert fetcher().get(address(peer), rows) == 1
    assert peer.headers[0]["user-agent"].startswith("thinwatt/")


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500),
        Fault(status=503),
        Fault(status=429),
        Fault(reset=True),
        Fault(cut=10),
        Fault(cut=0),
        Fault(body=HTML),
        Fault(body=b""),
        Fault(body=b'{"data": [{"from": "20'),
    ],
)
def test_what_may_pass_is_tried_again_after_a_pause_that_doubles(peer: Servers, fault: Fault) -> None:
    pauses: list[float] = []
    peer.faults = [fault, fault]
    assert fetcher(pauses).get(address(peer), rows) == 1
    assert (len(peer.asked), pauses) == (3, [2.0, 4.0])


def test_patience_ends_with_what_the_server_said(peer: Servers) -> None:
    pauses: list[float] = []
    peer.faults = [Fault(status=500, body=b'{"error_code": "X", "message": "the index is being built"}')] * 9
    with pytest.raises(FetchError, match=r"answer 500 \(the index is being built\), after 4 attempts") as caught:
        fetcher(pauses).get(address(peer), rows)
    assert (len(peer.asked), pauses, caught.value.status) == (4, [2.0, 4.0, 8.0], 500)


def test_pauses_are_spread_and_bounded(peer: Servers) -> None:
    pauses: list[float] = []
    peer.faults = [Fault(status=500)] * 9
    patience = Patience(attempts=6, longest=9.0)
    with pytest.raises(FetchError):
        fetcher(pauses, spread=lambda: 0.0, patience=patience).get(address(peer), rows)
    assert pauses == [1.0, 2.0, 4.0, 8.0, 9.0]


@pytest.mark.parametrize(
    "header, value",
    [
        ("Retry-After", "7"),
        ("Retry-After", format_datetime(datetime.fromtimestamp(NOW + 7, UTC), usegmt=True)),
        ("X-RateLimit-Reset", str(int(NOW) + 7)),
    ],
)
def test_a_server_that_says_how_long_to_wait_is_obeyed(peer: Servers, header: str, value: str) -> None:
    pauses: list[float] = []
    peer.faults = [Fault(status=429, headers=((header, value),))]
    assert fetcher(pauses).get(address(peer), rows) == 1
    assert pauses == [7.0]


def test_one_that_wants_more_than_our_patience_is_left_alone_and_it_is_said_until_when(peer: Servers) -> None:
    pauses: list[float] = []
    peer.faults = [Fault(status=429, headers=(("Retry-After", "86400"),))]
    with pytest.raises(FetchError, match="after 1 attempts; ask again from 2025-06-16 15:06 UTC on") as caught:
        fetcher(pauses).get(address(peer), rows)
    assert (len(peer.asked), pauses, caught.value.again) == (1, [], NOW + 86_400)


@pytest.mark.parametrize("header", ["X-RateLimit-Reset", "Retry-After"])
@pytest.mark.parametrize("value", ["soon", "-5", "", "1e999", "nan", "1750000000000", "9" * 400])
def test_a_pause_that_is_none_is_ours(peer: Servers, header: str, value: str) -> None:
    pauses: list[float] = []
    peer.faults = [Fault(status=429, headers=((header, value),))]
    assert fetcher(pauses).get(address(peer), rows) == 1
    assert pauses == [2.0]


@pytest.mark.parametrize("status, told", [(400, "answer 400"), (401, "is the token right"), (404, "answer 404")])
def test_what_will_not_pass_is_not_tried_again(peer: Servers, status: int, told: str) -> None:
    peer.faults = [Fault(status=status)]
    with pytest.raises(FetchError, match=told):
        fetcher().get(address(peer), rows)
    assert len(peer.asked) == 1


def test_this_very_machine_is_not_asked_by_way_of_a_proxy(peer: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert fetcher().get(address(peer), rows) == 1


def test_nobody_there_is_an_error_in_words() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/x?key=secret"
        with pytest.raises(FetchError, match=r"no answer .*refused.*after 4 attempts") as caught:
            fetcher().get(url, rows)
    assert "secret" not in str(caught.value)


def test_a_body_that_comes_drop_by_drop_does_not_hold_us(peer: Servers) -> None:
    peer.faults = [Fault(drip=0.05)] * 2
    began = time.monotonic()
    with pytest.raises(FetchError, match="longer than"):
        fetcher(patience=Patience(whole=0.4, attempts=2)).get(address(peer), rows)
    assert time.monotonic() - began < 3.0


def test_a_body_without_end_is_not_read_to_it(peer: Servers) -> None:
    with pytest.raises(FetchError, match="more than 20 bytes"):
        fetcher(patience=Patience(biggest=20)).get(address(peer), rows)


def test_an_answer_with_an_etag_is_kept_and_only_asked_after(peer: Servers, tmp_path: Path) -> None:
    ours = fetcher(cache=tmp_path)
    assert [ours.get(address(peer), rows) for _ in range(3)] == [1, 1, 1]
    assert peer.revalidated == 2
    peer.britain *= 2
    assert ours.get(address(peer), rows) == 2
    assert peer.revalidated == 2


def test_a_refused_body_is_never_kept(peer: Servers, tmp_path: Path) -> None:
    peer.faults = [Fault(body=HTML)] * 4
    with pytest.raises(FetchError):
        fetcher(cache=tmp_path).get(address(peer), rows)
    assert list(tmp_path.glob("*")) == []


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"url": "x"}\nbody', "cut"])
def test_a_damaged_copy_is_as_if_there_were_none(peer: Servers, tmp_path: Path, damage: bytes | str) -> None:
    ours = fetcher(cache=tmp_path)
    ours.get(address(peer), rows)
    (copy,) = tmp_path.glob("*.answer")
    copy.write_bytes(copy.read_bytes()[:-3] if isinstance(damage, str) else damage)
    assert ours.get(address(peer), rows) == 1
    assert peer.revalidated == 0


def test_a_copy_that_our_reader_no_longer_takes_is_asked_for_anew(peer: Servers, tmp_path: Path) -> None:
    ours, pauses = fetcher(cache=tmp_path), list[float]()
    ours.get(address(peer), rows)
    seen: list[bytes] = []

    def once(body: bytes) -> int:
        seen.append(body)
        if len(seen) == 1:
            raise ValueError("an older form")
        return rows(body)

    assert fetcher(pauses, cache=tmp_path).get(address(peer), once) == 1
    assert (peer.revalidated, len(peer.asked)) == (1, 3)


def test_copies_that_nobody_asks_for_go(peer: Servers, tmp_path: Path) -> None:
    fetcher(cache=tmp_path, now=time.time).get(address(peer), rows)
    later = fetcher(cache=tmp_path, now=lambda: time.time() + 31 * 86_400)
    later.get(address(peer) + "?again", rows)
    assert len(list(tmp_path.glob("*.answer"))) <= 1


def test_a_token_does_not_follow_a_redirection_to_another_server(peer: Servers) -> None:
    with servers() as other:
        peer.faults = [Fault(status=302, headers=(("Location", f"{other.url}/intensity/x/y"),))]
        with pytest.raises(FetchError, match="leads on to another server"):
            fetcher().get(address(peer), rows, {"auth-token": "secret"})
        assert other.asked == []
    peer.faults = [Fault(status=302, headers=(("Location", address(peer)),))]
    assert fetcher().get(peer.url + "/moved", rows) == 1


@pytest.mark.parametrize(
    "url, headers, told",
    [
        ("file:///etc/passwd", {}, "no address of a server"),
        ("ftp://example.org/x", {}, "no address of a server"),
        ("https:///x", {}, "no address of a server"),
        ("http://example.org/x", {"auth-token": "secret"}, "in the open"),
    ],
)
def test_some_addresses_are_never_asked(url: str, headers: dict[str, str], told: str) -> None:
    with pytest.raises(FetchError, match=told) as caught:
        fetcher().get(url, rows, headers)
    assert "secret" not in str(caught.value)


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    write_atomic(path, b"one" * 100_000)
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            write_atomic(path, b"two" * 100_000)
            write_atomic(path, b"one" * 100_000)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(200):
            assert path.read_bytes() in {b"one" * 100_000, b"two" * 100_000}
    finally:
        stop.set()
        thread.join()
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"
