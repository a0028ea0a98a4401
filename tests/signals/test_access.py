"""In whose name a Prometheus is asked, against a server that writes down what it is shown."""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from fake_prometheus import Respond, send, server, vector
from history import plan_with_abort

from runner.access import LONGEST_URL, get
from runner.credentials import HIDDEN, credentials_for
from runner.errors import SignalError, TargetError
from runner.model.access import PrometheusAccess
from runner.model.recording import ClockAnchor, TargetInfo
from runner.model.target import Rules
from runner.process import SystemClock
from runner.signals.client import PromClient, UnreachableError
from runner.signals.prometheus import PrometheusSource
from runner.targets.alerts import firing
from runner.targets.looking import look
from runner.targets.reachability import check_prometheus

SECRET = "tr0ub4dor&3"


@dataclass
class Seen:
    """What a server was shown, question by question."""

    headers: list[dict[str, str]] = field(default_factory=list)
    queries: list[dict[str, str]] = field(default_factory=list)
    methods: list[str] = field(default_factory=list)

    def respond(self, handler: BaseHTTPRequestHandler, query: Mapping[str, str]) -> None:
        self.headers.append({name.lower(): value for name, value in handler.headers.items()})
        self.queries.append(dict(query))
        self.methods.append(handler.command)
        send(handler, vector("1"))


def target(access: PrometheusAccess) -> TargetInfo:
    return TargetInfo(
        kind="cluster",
        name="staging",
        namespace="shop",
        ingress_url="http://127.0.0.1:1",
        host="",
        prometheus_url=access.shown,
        prometheus=access,
    )


@contextmanager
def asked_as(**keys: Any) -> Iterator[tuple[PrometheusAccess, Seen]]:
    seen = Seen()
    with server(seen.respond) as url:
        yield PrometheusAccess.model_validate({"url": url, **keys}), seen


def shown(path: Path, **keys: Any) -> dict[str, str]:
    """The headers of one question that is asked after ``keys``."""
    with asked_as(**keys) as (access, seen):
        get(access, "/api/v1/query", {"query": "up"})
    return seen.headers[0]


@pytest.fixture
def held(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(f"{SECRET}\n", encoding="utf-8")
    return path


def test_each_kind_of_credential_is_shown(
    tmp_path: Path, held: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: what seatrial.yaml names is what arrives. Method: one question each."""
    monkeypatch.setenv("PROM_SECRET", SECRET)
    bearer, basic = f"Bearer {SECRET}", "Basic cmVhZGVyOnRyMHViNGRvciYz"
    reader = {"username": "reader"}
    cases: list[tuple[dict[str, Any], str]] = [
        ({"bearer_token_file": str(held)}, bearer),
        ({"bearer_token_env": "PROM_SECRET"}, bearer),
        ({"basic_auth": {**reader, "password_file": str(held)}}, basic),
        ({"basic_auth": {**reader, "password_env": "PROM_SECRET"}}, basic),
        ({"headers": {"Authorization": f"Custom {SECRET}"}}, f"Custom {SECRET}"),
    ]
    for keys, expected in cases:
        assert shown(tmp_path, **keys)["authorization"] == expected
    assert "authorization" not in shown(tmp_path)


def test_tenant_headers_and_parameters_go_along(tmp_path: Path, held: Path) -> None:
    keys = {
        "tenant": "team-a",
        "headers": {"X-Key": {"file": str(held)}, "X-Plain": "yes"},
        "params": {"dedup": "true"},
    }
    with asked_as(**keys) as (access, seen):
        get(access, "/api/v1/query", {"query": "up"})
    headers = seen.headers[0]
    assert (headers["x-scope-orgid"], headers["x-key"]) == ("team-a", SECRET)
    assert headers["x-plain"] == "yes"
    assert seen.queries[0] == {"query": "up", "dedup": "true"}


def test_user_and_password_of_a_url_go_into_a_header_and_nowhere_else(tmp_path: Path) -> None:
    """Goal: the address that is recorded has no password. Method: ask, then print the target."""
    seen = Seen()
    with server(seen.respond) as url:
        access = PrometheusAccess(
            url=url.replace("://", f"://reader:{SECRET.replace('&', '%26')}@")
        )
        get(access, "/api/v1/query", {"query": "up"})
        info = target(access)
    assert seen.headers[0]["authorization"] == "Basic cmVhZGVyOnRyMHViNGRvciYz"
    assert info.prometheus_url == url
    assert "tr0ub4dor" not in info.model_dump_json() + repr(info) + repr(access)


def test_an_http_config_is_understood(tmp_path: Path, held: Path) -> None:
    """Goal: a file that promtool reads serves here. Method: paths relative to it, three forms."""
    config = tmp_path / "http.yaml"
    for text, expected in (
        ("authorization: {credentials_file: secret}", f"Bearer {SECRET}"),
        ("authorization: {type: Token, credentials: abcdef}", "Token abcdef"),
        ("bearer_token_file: secret", f"Bearer {SECRET}"),
        ("basic_auth: {username: reader, password_file: secret}", "Basic cmVhZGVyOnRyMHViNGRvciYz"),
    ):
        config.write_text(text + "\nhttp_headers: {X-A: {values: [b], files: [secret]}}\n")
        headers = shown(tmp_path, http_config=str(config))
        assert headers["authorization"] == expected
        assert headers["x-a"] == f"b, {SECRET}"


def test_mistakes_in_an_http_config_have_positions_and_no_values(tmp_path: Path) -> None:
    config = tmp_path / "http.yaml"
    config.write_text(
        f"oauth2: {{client_id: x}}\nbasic_auth:\n  username: 1\n  password: {SECRET}\n"
    )
    with pytest.raises(SignalError) as caught:
        credentials_for(PrometheusAccess(url="http://x", http_config=str(config)))
    said = str(caught.value)
    assert f"{config}:1:1: unknown key 'oauth2'" in said
    assert f"{config}:3:13: basic_auth.username" in said
    assert SECRET not in said


def test_a_token_is_read_for_each_question(held: Path) -> None:
    """Goal: tokens rotate. Method: one client, two questions, another token in between."""
    with asked_as(bearer_token_file=str(held)) as (access, seen):
        client = PromClient(access, SystemClock(), timeout_s=5, total_s=10)
        client.query("x", "up")
        held.write_text("a-new-token", encoding="utf-8")
        client.query("x", "up")
        client.close()
    shown_first, shown_then = (headers["authorization"] for headers in seen.headers)
    assert (shown_first, shown_then) == (f"Bearer {SECRET}", "Bearer a-new-token")


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "No such file or directory"), ("", "is empty"), ("a\nb", "not one line of plain text")],
)
def test_a_token_that_cannot_be_read_is_told_by_everybody(
    tmp_path: Path, content: str | None, why: str
) -> None:
    """Goal: one clear sentence, never a traceback. Method: all who ask, and nothing arrives."""
    path = tmp_path / "token"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with asked_as(bearer_token_file=str(path)) as (access, seen):
        info = target(access)
        with pytest.raises(TargetError, match=why):
            check_prometheus(info)
        assert why in firing(info, Rules().alert_selector).problem
        assert why in look(info, "", []).data_problem
        source = PrometheusSource()
        assert source.skew_s(info) is None
        assert why in source.ask("up", info, 5.0).why
        anchor = ClockAnchor(load_started_wall_s=1_700_000_000.0)
        signals = source.collect(plan_with_abort(), anchor, info, 120.0, tmp_path / "raw")
        assert why in signals.error
        assert why in signals.alerts_missing
    assert seen.headers == []


def test_a_variable_that_is_not_set_is_named() -> None:
    access = PrometheusAccess(url="http://127.0.0.1:1", bearer_token_env="NOT_SET_AT_ALL")
    with pytest.raises(SignalError, match="the environment lacks NOT_SET_AT_ALL"):
        get(access, "/api/v1/query", {})


# -- who is not let in -----------------------------------------------------------------------------


def page(status: int, body: bytes, **headers: str) -> Respond:
    def respond(handler: BaseHTTPRequestHandler, _: Mapping[str, str]) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return respond


LOGIN = b"<!doctype html><title>Log in</title>"


@pytest.mark.parametrize(
    ("respond", "said"),
    [
        (page(401, b"no"), "does not know who asks (HTTP 401); asked with the bearer token of "),
        (
            page(403, b"no"),
            "does not allow the question (HTTP 403); asked with the bearer token of",
        ),
        (page(200, LOGIN), "answered with a web page instead of Prometheus' JSON, perhaps that of"),
        (
            page(302, b"", Location=f"https://user:{SECRET}@login.example/in?next={SECRET}"),
            "sends elsewhere (HTTP 302 to https://login.example/in), perhaps to a login",
        ),
    ],
    ids=["401", "403", "page", "redirect"],
)
def test_who_is_not_let_in_reads_with_what_he_asked(
    respond: Respond, said: str, held: Path, tmp_path: Path
) -> None:
    """Goal: which credential, never its value. Method: all who ask, and a collection's words."""
    with server(respond) as url:
        info = target(PrometheusAccess(url=url, bearer_token_file=str(held)))
        with pytest.raises(TargetError) as caught:
            check_prometheus(info)
        source = PrometheusSource()
        reading = source.ask("up", info, 5.0)
        anchor = ClockAnchor(load_started_wall_s=1_700_000_000.0)
        signals = source.collect(plan_with_abort(), anchor, info, 120.0, tmp_path / "raw")
    words = [caught.value.message, reading.why, signals.error]
    words += [firing_says(info, respond)]
    for text in words:
        assert said in text
        assert SECRET not in text
    assert reading.state == "unreachable"
    assert signals.phases == ()


def firing_says(info: TargetInfo, respond: Respond) -> str:
    with server(respond) as url:
        moved = info.access.model_copy(update={"url": url})
        return firing(target(moved), "").problem


def test_a_redirect_is_not_followed_with_our_headers(held: Path) -> None:
    """Goal: a token is for one server only. Method: a redirect to a server that writes down."""
    elsewhere = Seen()
    with server(elsewhere.respond) as other, server(page(307, b"", Location=other)) as url:
        access = PrometheusAccess(url=url, headers={"X-Key": {"file": str(held)}})  # type: ignore[dict-item]
        with pytest.raises(SignalError, match="redirects are not followed"):
            get(access, "/api/v1/query", {"query": "up"})
    assert elsewhere.headers == []


def test_a_refusal_of_one_question_leaves_the_others_alone(held: Path) -> None:
    """Goal: who may not ask for alerts may ask for latencies. Method: 403 for one query only."""

    def respond(handler: BaseHTTPRequestHandler, query: Mapping[str, str]) -> None:
        send(handler, vector("1"), 403 if query["query"] == "ALERTS" else 200)

    with server(respond) as url:
        client = PromClient(url, SystemClock(), timeout_s=5, total_s=10)
        with pytest.raises(SignalError) as caught:
            client.query("x", "ALERTS")
        assert not isinstance(caught.value, UnreachableError)
        assert client.query("x", "up").series[0].points[-1][1] == 1.0
        client.close()


# -- what is kept ----------------------------------------------------------------------------------


def test_no_secret_is_kept_or_said(
    tmp_path: Path, held: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Goal: nothing of a token in a run's folder. Method: a server that repeats all it is shown."""

    def echo(handler: BaseHTTPRequestHandler, query: Mapping[str, str]) -> None:
        said = f"you said {handler.headers['Authorization']} to {handler.path}"
        if "bucket" in query.get("query", ""):
            send(handler, json.dumps({"status": "error", "error": said}).encode(), 422)
        else:
            send(handler, vector("1", warnings=[said]))

    caplog.set_level(logging.DEBUG)
    with server(echo) as url:
        access = PrometheusAccess(url=url, bearer_token_file=str(held), params={"api_key": SECRET})
        anchor = ClockAnchor(load_started_wall_s=1_700_000_000.0)
        source, raw = PrometheusSource(), tmp_path / "raw"
        signals = source.collect(plan_with_abort(), anchor, target(access), 120.0, raw)
    text = signals.model_dump_json()
    assert f"you said Bearer {HIDDEN}" in text
    kept = [gzip.decompress(file.read_bytes()).decode() for file in raw.glob("*.gz")]
    assert any(HIDDEN in one for one in kept)
    logged = [one.getMessage() for one in caplog.records if one.name.startswith("runner")]
    everything = "\n".join([text, *kept, (raw / "index.jsonl").read_text(), *logged])
    for form in (SECRET, json.dumps(SECRET)[1:-1], "tr0ub4dor%263", "tr0ub4dor"):
        assert form not in everything


# -- long questions --------------------------------------------------------------------------------


def test_a_long_question_comes_by_post_with_all_parameters() -> None:
    """Goal: no proxy cuts it. Method: just short enough, and longer; what arrives is the same."""
    asked: list[tuple[str, str, str]] = []

    def respond(handler: BaseHTTPRequestHandler, query: Mapping[str, str]) -> None:
        asked.append((handler.command, query["query"], query.get("dedup", "")))
        send(handler, vector("1"))

    with server(respond) as url:
        access = PrometheusAccess(url=url, params={"dedup": "true"})
        client = PromClient(access, SystemClock(), timeout_s=5, total_s=10)
        for query in ("up", f"up{' ' * LONGEST_URL}"):
            client.query("x", query, 1_700_000_000.0)
            client.query_range("x", query, 1_700_000_000, 1_700_000_010, 1)
        client.close()
    long = f"up{' ' * LONGEST_URL}"
    assert asked == [("GET", "up", "true")] * 2 + [("POST", long, "true")] * 2


def test_a_long_question_is_asked_again_like_a_short_one() -> None:
    asked: list[str] = []

    def respond(handler: BaseHTTPRequestHandler, _: Mapping[str, str]) -> None:
        asked.append(handler.command)
        send(handler, vector("1"), 503 if len(asked) < 3 else 200)

    with server(respond) as url:
        client = PromClient(url, SystemClock(), timeout_s=5, total_s=10)
        assert client.query("x", f"up{' ' * LONGEST_URL}").series
        client.close()
    assert asked == ["POST"] * 3
