"""A guard's question to Prometheus: every way in which it is not answered, and its bound."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler

import pytest
from fake_prometheus import Respond, send, server, vector
from real_prometheus import free_port

from runner.model.guard import Reading
from runner.model.recording import TargetInfo
from runner.signals.asking import Asker, reading_of
from runner.signals.client import Answer, Sampled
from runner.signals.prometheus import PrometheusSource

BOUND_S = 5.0


def target(url: str) -> TargetInfo:
    return TargetInfo(
        kind="cluster", name="t", namespace="n", ingress_url="", host="", prometheus_url=url
    )


def answering(body: bytes, status: int = 200) -> Respond:
    return lambda handler, _: send(handler, body, status)


def ask(respond: Respond, within_s: float = BOUND_S) -> Reading:
    with server(respond) as url:
        return PrometheusSource().ask("up > 0", target(url), within_s)


def test_the_query_is_asked_as_it_stands_and_once() -> None:
    """Goal: no rewriting, no retry. Method: note what arrives; the answer is a refusal for now."""
    asked: list[str] = []

    def respond(handler: BaseHTTPRequestHandler, query: Mapping[str, str]) -> None:
        asked.append(query["query"])
        send(handler, b"busy", 503)

    reading = ask(respond)
    assert asked == ["up > 0"]
    assert reading.state == "unreachable"
    assert "busy" in reading.why


def test_every_series_is_told_by_its_labels_but_those_without_a_number() -> None:
    reading = ask(answering(vector("1.5", "NaN", "+Inf")))
    assert reading == Reading("ok", (("n=0", 1.5), ("n=2", float("inf"))))


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ('"scalar","result":[1.0,"2.5"]', Reading("ok", (("", 2.5),))),
        (
            '"vector","result":[]',
            Reading("empty", why="the answer of Prometheus is empty: no series matches"),
        ),
        (
            '"vector","result":[{"metric":{},"value":[1.0,"NaN"]}]',
            Reading("empty", why="the answer of Prometheus is not a number"),
        ),
        (
            '"matrix","result":[{"metric":{},"values":[[1.0,"2"]]}]',
            Reading(
                "refused",
                why="the query gives a matrix; accepted: one value per series, as of rate()",
            ),
        ),
        (
            '"string","result":[1.0,"words"]',
            Reading(
                "refused",
                why="the query gives a string; accepted: one value per series, as of rate()",
            ),
        ),
    ],
)
def test_each_kind_of_answer_is_a_value_or_says_why_not(result: str, expected: Reading) -> None:
    body = f'{{"status":"success","data":{{"resultType":{result}}}}}'.encode()
    assert ask(answering(body)) == expected


@pytest.mark.parametrize(
    ("status", "state"),
    [(400, "refused"), (422, "refused"), (500, "unreachable")],
)
def test_only_a_wrong_query_is_refused(status: int, state: str) -> None:
    """Goal: trouble of Prometheus is not the author's. Method: the same words, by status."""
    body = b'{"status":"error","errorType":"x","error":"parse error: unexpected end"}'
    reading = ask(answering(body, status))
    assert reading == Reading(
        "refused" if state == "refused" else "unreachable",
        why="Prometheus refused up > 0: parse error: unexpected end",
    )


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "no address of a Prometheus is known"),
        ("http://127.0.0.1:{port}", "does not answer"),
    ],
)
def test_nobody_at_the_address(url: str, said: str) -> None:
    reading = PrometheusSource().ask("up", target(url.format(port=free_port())), BOUND_S)
    assert reading.state == "unreachable"
    assert said in reading.why


def test_what_is_no_json_is_no_answer() -> None:
    reading = ask(answering(b"<html>Welcome</html>"))
    assert reading.state == "unreachable"
    assert "a web page instead of Prometheus' JSON" in reading.why


def test_a_question_that_hangs_is_left_alone_and_holds_no_other_up() -> None:
    """Goal: bounded, whatever hangs. Method: a first question that ends when the test says so.

    A second one meanwhile is not asked at all; after it, questions are asked again.
    """
    release, asker = threading.Event(), Asker()

    def hanging() -> Reading:
        release.wait(60)
        return Reading("ok", (("", 1.0),))

    def quick() -> Reading:
        return Reading("ok", (("", 2.0),))

    assert asker.ask(hanging, 0.05) == Reading(
        "unreachable", why="Prometheus did not answer within 0.05 s"
    )
    assert asker.ask(quick, BOUND_S) == Reading(
        "unreachable", why="Prometheus still owes the answer to an older question"
    )
    release.set()
    assert asker.ask(hanging, BOUND_S).state in ("ok", "unreachable")
    for thread in threading.enumerate():
        if thread.name == "guard-query":
            thread.join(BOUND_S)
    assert asker.ask(quick, BOUND_S) == Reading("ok", (("", 2.0),))


def test_a_drip_of_bytes_is_no_answer() -> None:
    """Goal: a bound for the whole, not for each byte. Method: an answer that never ends."""
    over = threading.Event()

    def respond(handler: BaseHTTPRequestHandler, _: Mapping[str, str]) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not over.wait(0.02):
            handler.wfile.write(b" ")
            handler.wfile.flush()

    try:
        reading = ask(respond, within_s=0.2)
    finally:
        over.set()
    assert reading.state == "unreachable"
    assert reading.why


def test_a_bug_is_not_taken_for_a_silent_source() -> None:
    def broken() -> Reading:
        raise ZeroDivisionError("ours")

    with pytest.raises(ZeroDivisionError, match="ours"):
        Asker().ask(broken, BOUND_S)


def test_labels_are_told_in_one_order() -> None:
    series = (Sampled({"pod": "a", "app": "x"}, ((1.0, 3.0),)),)
    assert reading_of(Answer(series)).values == (("app=x, pod=a", 3.0),)
