"""The client against a server that has its bad days; only what a socket can show needs a socket."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from fake_prometheus import Respond, send, server, vector
from history import plan_with_abort
from hypothesis import example, given
from hypothesis import strategies as st
from real_prometheus import free_port

from runner.errors import SignalError
from runner.model.recording import ClockAnchor, TargetInfo
from runner.process import SystemClock
from runner.signals.client import PromClient, UnreachableError, _pieces
from runner.signals.prometheus import PrometheusSource


@contextmanager
def client_of(
    respond: Respond, timeout_s: float = 5.0, total_s: float = 10.0
) -> Iterator[PromClient]:
    with server(respond) as url:
        client = PromClient(url, SystemClock(), timeout_s=timeout_s, total_s=total_s)
        yield client
        client.close()


def answering(body: bytes, status: int = 200) -> Respond:
    return lambda handler, _: send(handler, body, status)


def test_values_are_read_as_they_are_meant() -> None:
    """NaN and both infinities are text in JSON; they come out as floats, without the name."""
    with client_of(answering(vector("1.5", "NaN", "+Inf", "-Inf"))) as client:
        series = client.query("x", "m").series
    values = [one.points[0][1] for one in series]
    assert values[0] == 1.5
    assert math.isnan(values[1])
    assert values[2:] == [math.inf, -math.inf]
    assert series[0].labels == {"n": "0"}


def test_warnings_are_caught() -> None:
    """The library drops them; a partial answer must not look like a whole one."""
    body = vector("1", warnings=["half of the stores are away"], infos=["not a counter"])
    with client_of(answering(body)) as client:
        assert client.query("x", "m").warnings == ("half of the stores are away",)
        assert client.query_range("x", "m", 0, 10, 1).warnings == ("half of the stores are away",)


def test_refusal_is_told_in_prometheus_own_words() -> None:
    """A 400 is the library's exception; what counts is the error in its body."""
    body = b'{"status":"error","errorType":"bad_data","error":"unknown function \\"rat\\""}'
    with client_of(answering(body, 400)) as client, pytest.raises(SignalError) as caught:
        client.query("x", "rat(m)")
    assert caught.value.message == 'Prometheus refused rat(m): unknown function "rat"'
    assert not isinstance(caught.value, UnreachableError)


@pytest.mark.parametrize(
    "body",
    [b"<html>hello</html>", b"[]", b'{"status":"success"}', b'{"data":{"result":[1,2]}}', b""],
)
def test_what_is_no_answer_is_an_error(body: bytes) -> None:
    """A proxy's page, or JSON of another kind, with status 200."""
    with client_of(answering(body)) as client, pytest.raises(SignalError):
        client.query("x", "m")


def test_passing_trouble_is_retried() -> None:
    """Two answers of 503, then a good one: three questions reach the server, one answer us."""
    asked: list[str] = []

    def respond(handler: BaseHTTPRequestHandler, query: Mapping[str, str]) -> None:
        asked.append(query["query"])
        send(handler, vector("1"), 503 if len(asked) < 3 else 200)

    with client_of(respond) as client:
        assert client.query("x", "m").series[0].points == ((1.0, 1.0),)
    assert asked == ["m", "m", "m"]


def test_lasting_trouble_ends() -> None:
    """A server that always answers 503 is asked three times, and its words are kept."""
    asked: list[str] = []

    def respond(handler: BaseHTTPRequestHandler, query: Mapping[str, str]) -> None:
        asked.append(query["query"])
        send(handler, b"no healthy upstream", 503)

    lasting = pytest.raises(SignalError, match="status 503: no healthy upstream")
    with client_of(respond) as client, lasting:
        client.query("x", "m")
    assert len(asked) == 3


def test_dead_server_is_asked_no_more() -> None:
    """The first question finds out; the second does not try again."""
    client = PromClient(f"http://127.0.0.1:{free_port()}", SystemClock(), timeout_s=5, total_s=10)
    with pytest.raises(UnreachableError, match=r"does not answer: .*refused"):
        client.query("x", "m")
    with pytest.raises(UnreachableError, match="refused"):
        client.query("x", "m")
    client.close()


def test_silent_server_ends_with_the_timeout() -> None:
    """A server that takes the question and says nothing."""

    def respond(handler: BaseHTTPRequestHandler, _: Mapping[str, str]) -> None:
        time.sleep(1.0)
        handler.close_connection = True

    silent = pytest.raises(UnreachableError, match="timed out")
    with client_of(respond, timeout_s=0.2) as client, silent:
        client.query("x", "m")


def test_dripping_server_ends_with_the_timeout() -> None:
    """A byte now and then keeps any timeout between bytes from firing; the answer's own does."""

    def respond(handler: BaseHTTPRequestHandler, __: Mapping[str, str]) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        for _ in range(40):
            handler.wfile.write(b" ")
            time.sleep(0.05)

    slow = pytest.raises(UnreachableError, match=r"not whole after 0\.3 s")
    with client_of(respond, timeout_s=0.3) as client, slow:
        client.query("x", "m")


def test_deadline_is_over_all_questions() -> None:
    """When the time for all is used up, the next question is not asked."""
    asked: list[str] = []

    def respond(handler: BaseHTTPRequestHandler, query: Mapping[str, str]) -> None:
        asked.append(query["query"])
        send(handler, vector("1"))

    class LaterClock(SystemClock):
        late_s = 0.0

        def monotonic_s(self) -> float:
            return super().monotonic_s() + self.late_s

    clock = LaterClock()
    with server(respond) as url:
        client = PromClient(url, clock, timeout_s=5, total_s=60)
        client.query("x", "m")
        clock.late_s = 61.0
        with pytest.raises(UnreachableError, match="more than 60 s for all answers"):
            client.query("x", "m")
        client.close()
    assert asked == ["m"]


def test_ranges_are_cut_into_pieces_of_one_grid() -> None:
    """22,001 points are three questions that neither repeat nor miss a step."""
    pieces = _pieces(1000, 1000 + 22_000 * 3, 3)
    points = [at_s for first, last in pieces for at_s in range(first, last + 1, 3)]
    assert points == list(range(1000, 1000 + 22_000 * 3 + 1, 3))
    assert [len(range(first, last + 1, 3)) for first, last in pieces] == [11_000, 11_000, 1]


@given(st.integers(0, 10**6), st.integers(0, 10**5), st.integers(1, 30))
@example(0, 10_999, 1)
@example(0, 11_000, 1)
@example(0, 0, 7)
def test_pieces_are_the_whole_and_nothing_twice(first: int, length: int, step: int) -> None:
    """Goal: no point is lost or doubled where Prometheus' limit cuts. Method: any range."""
    pieces = _pieces(first, first + length, step)
    points = [list(range(start, end + 1, step)) for start, end in pieces]
    assert [at for one in points for at in one] == list(range(first, first + length + 1, step))
    assert all(0 < len(one) <= 11_000 for one in points)


# -- the source ------------------------------------------------------------------------------------


def target_at(url: str) -> TargetInfo:
    return TargetInfo(
        kind="cluster",
        name="test",
        namespace="ecommerce",
        ingress_url="http://127.0.0.1:1",
        host="",
        prometheus_url=url,
    )


ANCHOR = ClockAnchor(load_started_wall_s=1_700_000_000.0)


def test_absent_prometheus_is_told_not_raised(tmp_path: Path) -> None:
    """Everything about it stands in the answer, with the services that were asked for."""
    url = f"http://127.0.0.1:{free_port()}"
    signals = PrometheusSource().collect(plan_with_abort(), ANCHOR, target_at(url), 120.0, tmp_path)
    assert f"Prometheus at {url} does not answer" in signals.error
    assert signals.services == ("payment-api",)
    assert (signals.phases, signals.series, signals.fault_flags) == ((), (), {})
    assert PrometheusSource().skew_s(target_at(url)) is None


def test_missing_address_is_told_not_raised(tmp_path: Path) -> None:
    """A target without a Prometheus is no reason to lose the load's figures."""
    signals = PrometheusSource().collect(plan_with_abort(), ANCHOR, target_at(""), 120.0, tmp_path)
    assert "no address of a Prometheus is known" in signals.error
    assert PrometheusSource().skew_s(target_at("")) is None


def test_run_without_load_is_told_not_raised(tmp_path: Path) -> None:
    """Nothing can be asked about a run of no length."""
    with server(answering(vector())) as url:
        signals = PrometheusSource().collect(
            plan_with_abort(), ANCHOR, target_at(url), 0.0, tmp_path
        )
    assert "never started" in signals.error


def test_empty_prometheus_is_empty_not_zero(tmp_path: Path) -> None:
    """It answers everything with nothing: no figure, no flags, and a sentence about scrapes."""
    with server(answering(vector())) as url:
        signals = PrometheusSource().collect(
            plan_with_abort(), ANCHOR, target_at(url), 120.0, tmp_path
        )
    assert signals.error == ""
    assert signals.scrape_gaps == ("Prometheus has scraped nothing that tells about this target",)
    assert {(one.state, one.value) for one in signals.phases} == {("empty", None)}
    assert {one.state for one in signals.series} == {"empty"}
    assert signals.fault_flags == {"01-http-abort": None}
    assert signals.late_flags == {"01-http-abort": None}


def test_refused_questions_are_errors_of_their_figures(tmp_path: Path) -> None:
    """A server that refuses everything about buckets leaves the rest of the figures alone."""

    def respond(handler: BaseHTTPRequestHandler, query: Mapping[str, str]) -> None:
        refused = "_bucket" in query["query"]
        body = b'{"status":"error","error":"too many samples"}' if refused else vector()
        send(handler, body, 422 if refused else 200)

    with server(respond) as url:
        signals = PrometheusSource().collect(
            plan_with_abort(), ANCHOR, target_at(url), 120.0, tmp_path
        )
    assert signals.error == ""
    states = {one.sli: (one.state, "too many samples" in one.message) for one in signals.phases}
    assert states["latency.p95"] == ("error", True)
    assert states["traffic"] == ("empty", False)
    charts = {one.sli: one.state for one in signals.series}
    assert (charts["latency.p95"], charts["traffic"]) == ("error", "empty")


def test_warnings_reach_the_figures(tmp_path: Path) -> None:
    """A figure of a partial answer says so."""
    body = vector(warnings=["partial"])
    with server(answering(body)) as url:
        signals = PrometheusSource().collect(
            plan_with_abort(), ANCHOR, target_at(url), 120.0, tmp_path
        )
    assert {one.warnings for one in signals.phases} == {("partial",)}
    assert {one.warnings for one in signals.series} == {("partial",)}


def test_a_slow_query_of_the_readers_takes_nothing_with_it(tmp_path: Path) -> None:
    """Goal: one bad query is one missing figure. Method: it never answers; all else does."""

    def respond(handler: BaseHTTPRequestHandler, query: Mapping[str, str]) -> None:
        if "for_ever" in query.get("query", ""):
            time.sleep(0.5)
            handler.close_connection = True
        else:
            send(handler, vector("1"))

    plan = plan_with_abort(signals={"slow": {"promql": "for_ever"}, "quick": {"promql": "up"}})
    with server(respond) as url:
        source = PrometheusSource(timeout_s=0.2)
        signals = source.collect(plan, ANCHOR, target_at(url), 120.0, tmp_path)
    assert (signals.error, signals.alerts_missing) == ("", "")
    figures = {one.sli: one for one in signals.phases if one.sli.startswith("signal.")}
    assert (figures["signal.slow"].state, figures["signal.slow"].value) == ("error", None)
    assert "timed out" in figures["signal.slow"].message
