"""The pages over real sockets: formats, encodings, health, and bounds on readers that are many or slow."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.collector.serve.conftest import Start, Stub, fleet
from thinwatt_collector.catalogue import CATALOGUE
from thinwatt_collector.serve import app as pages
from thinwatt_collector.serve import connections, server
from thinwatt_collector.serve.api.access import Access
from thinwatt_collector.serve.api.tokens import Tokens, make
from thinwatt_collector.serve.app import Handle, create_app
from thinwatt_collector.serve.exposition import Family, LabelSet, label_text

# What Prometheus 2.42 and 3.0 send.
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
    "text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)
parse_openmetrics: Callable[[str], Iterable[Metric]] = parser.text_string_to_metric_families
Answer = tuple[int, dict[str, str], bytes]


def ask(handle: Handle, path: str, method: str = "GET", **headers: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", handle.port, timeout=30)
    try:
        connection.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
        response = connection.getresponse()
        return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
    finally:
        connection.close()


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it does not come about"
        time.sleep(0.02)


@pytest.mark.parametrize("accept", [None, "*/*", "text/plain", "text/plain;version=0.0.4", "text/html", "garbage;;,"])
def test_text_unless_openmetrics_is_asked_for(start: Start, accept: str | None) -> None:
    status, headers, body = ask(start(), "/metrics", **({"Accept": accept} if accept else {}))
    assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    families = {f.name for f in parse_text(body.decode())}
    assert {"thinwatt_device_energy_joules", "thinwatt_device_power_watts", "thinwatt_collector_rows"} <= families
    assert b"# EOF" not in body


@pytest.mark.parametrize(
    "accept, version",
    [
        (PROMETHEUS_2, "version=1.0.0"),
        (PROMETHEUS_3, "version=1.0.0"),
        ("application/openmetrics-text", "version=1.0.0"),
        ("application/openmetrics-text; version=2.0.0", "version=1.0.0"),
        ("application/openmetrics-text; version=1.0.0; escaping=dots", "version=1.0.0"),
    ],
)
def test_openmetrics_when_it_is_asked_for(start: Start, accept: str, version: str) -> None:
    status, headers, body = ask(start(), "/metrics", Accept=accept)
    assert status == 200
    assert headers["content-type"].startswith("application/openmetrics-text")
    assert version in headers["content-type"]
    assert body.endswith(b"# EOF\n")
    assert body.count(b"# EOF") == 1
    found = {f.name: f for f in parse_openmetrics(body.decode())}
    assert found["thinwatt_device_energy_joules"].type == "counter"
    assert found["thinwatt_device_energy_joules"].unit == "joules"
    assert found["thinwatt_collector_rows"].samples[0].value == 7.0


@pytest.mark.parametrize("accept", ["application/openmetrics-text;version=x.y", "text/plain;version=eins"])
def test_a_version_that_is_none_gets_text(start: Start, accept: str) -> None:
    assert ask(start(), "/metrics", Accept=accept)[1]["content-type"].startswith("text/plain; version=0.0.4")


def test_the_series_of_both_formats_are_the_same(start: Start) -> None:
    handle = start()
    text = {(s.name, tuple(s.labels.items())): s.value for f in parse_text(ask(handle, "/metrics")[2].decode())
            for s in f.samples}  # fmt: skip
    body = ask(handle, "/metrics", Accept="application/openmetrics-text")[2].decode()
    assert text == {(s.name, tuple(s.labels.items())): s.value for f in parse_openmetrics(body) for s in f.samples}
    assert len(text) == 20 + 20 + 1 + 1, "no family stands twice, no times of creation"


def test_gzip_when_it_is_accepted(start: Start) -> None:
    handle = start()
    status, headers, packed = ask(handle, "/metrics", Accept_Encoding="gzip, deflate")
    assert (status, headers["content-encoding"]) == (200, "gzip")
    assert "Accept-Encoding" in headers["vary"]
    _, plain_headers, plain = ask(handle, "/metrics", Accept_Encoding="gzip;q=0")
    assert "content-encoding" not in plain_headers
    assert gzip.decompress(packed) == plain
    assert len(packed) < len(plain)


@pytest.mark.parametrize("path", ["/", "/metrics", "/healthz", "/readyz", "/none"])
def test_head_is_get_without_the_body(start: Start, path: str) -> None:
    handle = start()
    get, head = ask(handle, path), ask(handle, path, "HEAD")
    assert (get[0], get[1]["content-type"]) == (head[0], head[1]["content-type"])
    assert head[2] == b""


@pytest.mark.parametrize("path", ["/", "/metrics", "/healthz"])
@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
def test_other_methods_are_refused(start: Start, path: str, method: str) -> None:
    status, headers, _ = ask(start(), path, method)
    assert status == 405
    assert "GET" in headers["allow"]


def test_an_unknown_path_says_what_there_is(start: Start) -> None:
    status, headers, body = ask(start(), "/metrics/../etc/passwd")
    assert (status, headers["content-type"].split(";")[0]) == (404, "text/plain")
    assert body == b"there is /, /metrics, /healthz and /readyz\n"


def test_the_index_links_to_the_pages(start: Start) -> None:
    _, headers, body = ask(start(), "/")
    assert headers["content-type"].startswith("text/html")
    assert all(f'href="{path}"'.encode() in body for path in ("/metrics", "/readyz"))


def test_ready_and_alive_are_two_things(start: Start, source: Stub) -> None:
    handle = start()
    assert ask(handle, "/readyz")[::2] == (200, b"ready\n")
    source.good, source.said = False, ["the ledger's disk is full", "clock not synchronised"]
    assert ask(handle, "/readyz")[::2] == (503, b"not ready\nthe ledger's disk is full\nclock not synchronised\n")
    assert ask(handle, "/healthz")[0] == 200
    assert ask(handle, "/metrics")[0] == 200, "what was committed is shown all the same"


def test_each_scrape_shows_the_last_snapshot(start: Start, source: Stub) -> None:
    handle = start()
    for n in (3, 5, 0):
        source.shown = fleet(n)
        assert ask(handle, "/metrics")[2].count(b"thinwatt_device_power_watts{") == n


def test_a_scrape_that_fails_costs_no_other_page(start: Start, source: Stub) -> None:
    handle = start()
    source.shown = [*fleet(2), *fleet(2)]  # a bug: each family twice
    assert ask(handle, "/metrics")[0] == 500
    assert ask(handle, "/healthz")[0] == 200
    source.shown = fleet(2)
    assert ask(handle, "/metrics")[0] == 200


def test_too_many_scrapes_at_once_are_told_to_come_back(start: Start, source: Stub) -> None:
    go, inside = threading.Event(), threading.Semaphore(0)

    class Slow(Stub):
        def families(self, technical: bool = False) -> list[Family]:  # the form of all of them
            inside.release()
            go.wait(20)
            return []

    handle = start(app=create_app(Slow()))
    answers: list[int] = []
    waiting = [
        threading.Thread(target=lambda: answers.append(ask(handle, "/metrics")[0])) for _ in range(pages.SCRAPES)
    ]
    for thread in waiting:
        thread.start()
    for _ in waiting:
        assert inside.acquire(timeout=20)
    status, headers, _ = ask(handle, "/metrics")
    assert (status, headers["retry-after"]) == (503, "5")
    assert ask(handle, "/healthz")[0] == 200, "a page that costs nothing is not refused"
    go.set()
    for thread in waiting:
        thread.join()
    assert answers == [200] * pages.SCRAPES
    assert ask(handle, "/metrics")[0] == 200


def test_a_reader_that_does_not_read_is_left(
    start: Start, source: Stub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pages, "SEND_WITHIN", 0.3)
    monkeypatch.setattr(server, "REQUEST_WITHIN", 0.3)
    source.shown = fleet(100_000)  # 13 MB: more than the sockets between us hold
    handle = start()
    stuck = []
    for _ in range(pages.SCRAPES):
        connection = socket.create_connection(("127.0.0.1", handle.port))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        stuck.append(connection)
    # All places are taken, then free again without anybody having read.
    until(lambda: caplog.text.count("was not read within") == pages.SCRAPES)
    source.shown = fleet(10)
    assert ask(handle, "/metrics")[0] == 200
    for connection in stuck:
        connection.close()


def test_a_connection_that_asks_for_nothing_is_cut(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "REQUEST_WITHIN", 0.3)
    handle = start()
    silent = socket.create_connection(("127.0.0.1", handle.port), timeout=20)
    slow = socket.create_connection(("127.0.0.1", handle.port), timeout=20)
    slow.sendall(b"GET /metrics HTTP/1.1\r\nX-Slow: ")
    for connection in (silent, slow):
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""
        connection.close()


def hold(handle: Handle, count: int, text: bytes, answered: bool = False) -> list[socket.socket]:
    held = []
    for _ in range(count):
        held.append(socket.create_connection(("127.0.0.1", handle.port), timeout=20))
        held[-1].sendall(text)
        told = b""
        while answered and not told.endswith(b"alive\n"):
            told += held[-1].recv(4096)
    return held


@pytest.mark.parametrize(
    "text, answered",
    [(b"GET /metrics HTTP/1.1\r\nX-Slow: ", False), (b"", False), (b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", True)],
    ids=["half a request", "nothing", "kept"],
)
def test_three_hundred_connections_of_one_peer_keep_nobody_out(start: Start, text: bytes, answered: bool) -> None:
    handle = start()
    scraper = http.client.HTTPConnection("127.0.0.1", handle.port, timeout=20)
    held: list[socket.socket] = []
    for _ in range(3):
        held += hold(handle, 100, text, answered)
        for _ in range(5):
            began = time.monotonic()
            assert ask(handle, "/readyz")[0] == 200
            assert time.monotonic() - began < 1.0
    scraper.request("GET", "/metrics")
    assert scraper.getresponse().read()
    scraper.close()
    for connection in held:
        connection.close()


def test_the_oldest_half_open_connection_goes_first_and_one_in_use_never(start: Start, source: Stub) -> None:
    inside, go = threading.Semaphore(0), threading.Event()

    class Slow(Stub):
        def families(self, technical: bool = False) -> list[Family]:
            inside.release()
            go.wait(20)
            return []

    handle = start(app=create_app(Slow()))
    busy = http.client.HTTPConnection("127.0.0.1", handle.port, timeout=20)
    busy.request("GET", "/metrics")
    assert inside.acquire(timeout=20)
    kept = http.client.HTTPConnection("127.0.0.1", handle.port, timeout=20)
    kept.request("GET", "/healthz")
    assert kept.getresponse().read() == b"alive\n"
    held = hold(handle, 3 * connections.OF_A_PEER, b"GET / HTTP/1.1\r\n")
    oldest = held[0]
    with contextlib.suppress(ConnectionResetError):
        assert oldest.recv(1) == b""
    held[-1].sendall(b"Host: x\r\n\r\n")
    assert held[-1].recv(12) == b"HTTP/1.1 200"
    kept.request("GET", "/healthz")
    assert kept.getresponse().status == 200, "a kept one goes after all half-open ones"
    go.set()
    assert busy.getresponse().status == 200
    kept.close()
    busy.close()
    for connection in held:
        connection.close()


def test_a_kept_connection_that_begins_a_request_and_does_not_end_it_is_cut(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "REQUEST_WITHIN", 0.3)
    (slow,) = hold(start(), 1, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", answered=True)
    slow.sendall(b"GET /healthz HTTP/1.1\r\nX-Slow: ")
    with contextlib.suppress(ConnectionResetError):
        assert slow.recv(1) == b""
    slow.close()


def test_a_kept_connection_serves_many_scrapes(start: Start) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", start().port, timeout=20)
    for _ in range(5):
        connection.request("GET", "/metrics")
        assert connection.getresponse().read().endswith(b"thinwatt_collector_rows_total 7.0\n")
    connection.close()


@pytest.mark.parametrize("raw", [b"\x00" * 100, b"GET / FTP/1.1\r\n\r\n", b"GET " + b"/" * 200_000, b"\r\n" * 1000])
def test_bytes_that_are_no_http_harm_nobody(start: Start, raw: bytes) -> None:
    handle = start()
    with socket.create_connection(("127.0.0.1", handle.port), timeout=20) as connection:
        try:
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(4096)
        except OSError:  # reset, broken, or closed between the two lines
            answer = b""
        assert answer == b"" or b"400" in answer.splitlines()[0]
    assert ask(handle, "/healthz")[0] == 200


def test_close_ends_the_thread_and_frees_the_port(start: Start) -> None:
    handle = start()
    port = handle.port
    handle.close()
    assert not any(thread.name == "serve" for thread in threading.enumerate())
    assert start(bind=f"127.0.0.1:{port}").port == port


@pytest.mark.parametrize("bind", [":0", "localhost:0", "[::1]:0"])
def test_addresses_to_listen_on(start: Start, bind: str) -> None:
    if "::" in bind and not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        handle = start(bind=bind)
    except OSError as error:
        pytest.skip(f"this machine does not have the address: {error}")
    host = "::1" if bind.startswith("[") else "localhost"
    with socket.create_connection((host, handle.port), timeout=10):
        pass


@pytest.mark.parametrize("bind", ["9466", "127.0.0.1", "127.0.0.1:web", "127.0.0.1:99999", ""])
def test_an_address_that_is_none_is_told(start: Start, bind: str) -> None:
    with pytest.raises(OSError, match=r"write 127\.0\.0\.1:9466"):
        start(bind=bind)


def test_a_port_that_is_taken_is_told(start: Start) -> None:
    taken = start().port
    with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{taken}"):
        start(bind=f"127.0.0.1:{taken}")


def test_a_scrape_is_not_held_up_by_numbers_that_change(start: Start, source: Stub) -> None:
    """The step swaps snapshots while scrapes are written; a document is of one snapshot."""
    handle = start()
    stop = threading.Event()

    def step() -> None:
        n = 0
        while not stop.is_set():
            n += 1
            family = fleet(50)[0]
            source.shown = [type(family)(family.metric, family.labels, np.full(50, float(n)))]

    thread = threading.Thread(target=step)
    thread.start()
    try:
        for _ in range(30):
            lines = [x for x in ask(handle, "/metrics")[2].splitlines() if x.startswith(b"thinwatt_device_energy")]
            assert len({line.split()[-1] for line in lines}) == 1
    finally:
        stop.set()
        thread.join()


def test_endpoints_one_by_one_are_for_who_proves_the_technical_role(start: Start, source: Stub, tmp_path: Path) -> None:
    """By a token of that role, or by what the web-config file asks of everybody; an unknown token is refused."""
    source.detailed = _pc()
    file = tmp_path / "tokens.toml"
    technical, public = make(file, "dsi", "technical"), make(file, "page", "public")
    handle = start(app=create_app(source, access=Access(Tokens(file), "public")))

    def shown(**headers: str) -> tuple[int, bool]:
        status, _, body = ask(handle, "/metrics", **headers)
        return status, b'device="pc-1"' in body

    assert shown() == (200, False)
    assert shown(Authorization=f"Bearer {technical}") == (200, True)
    assert shown(X_Thinwatt_Token=technical) == (200, True)
    assert shown(Authorization=f"Bearer {public}") == (200, False)
    assert shown(Authorization="Bearer tw_of-nobody") == (401, False)
    file.write_text("")
    assert shown(Authorization=f"Bearer {technical}") == (401, False)
    assert "Authorization" in ask(handle, "/metrics")[1]["vary"], "a cache must not mix the two"


def _pc() -> list[Family]:
    row = {"device": "pc-1", "class": "desktop", "basis": "modelled"}
    return [Family(CATALOGUE["thinwatt_device_gap_seconds_total"], LabelSet([label_text(row)]), np.array([1.0]))]


def test_a_connection_sends_at_once() -> None:
    with server.listen("127.0.0.1:0") as listener, socket.create_connection(listener.getsockname()):
        taken, _ = listener.accept()
        with taken:
            assert taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
