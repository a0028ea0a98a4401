"""The real Prometheus behind TLS with client certificates and a password, with rules of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from certificates import SERVER_NAME, write_certificates
from history import plan_with_abort
from real_prometheus import prometheus

from runner.access import session_for
from runner.credentials import credentials_for
from runner.errors import TargetError
from runner.model.access import PrometheusAccess
from runner.model.plan import Plan
from runner.model.recording import ClockAnchor, Signals, TargetInfo
from runner.model.target import Rules
from runner.signals.prometheus import PrometheusSource
from runner.targets.alerts import alert_findings
from runner.targets.looking import look
from runner.targets.reachability import check_prometheus

pytestmark = pytest.mark.sandbox

PASSWORD = "tide-and-time"
HASHED = "$2b$04$Y52adxMytNENkkJqtX5b6.QItkzgpk0wn3wnGSVKYfgQLOWIHAwDa"
RULES = [
    {"alert": "Always", "expr": "vector(1) > 0", "labels": {"severity": "critical"}},
    {"alert": "Soon", "expr": "vector(1) > 0", "for": "1h", "labels": {"severity": "warning"}},
    {"alert": "Elsewhere", "expr": "vector(1) > 0", "labels": {"namespace": "others"}},
    {"alert": "Never", "expr": "vector(1) > 1", "labels": {"severity": "warning"}},
    {
        "alert": "Broken",
        "expr": 'label_replace(vector(1), "a", "b", "c", "(")',
        "labels": {"severity": "page"},
    },
]
LASTS_S = 3.0


@dataclass(frozen=True)
class Guarded:
    """A Prometheus that wants to see a certificate and a password, and what opens it."""

    url: str
    folder: Path
    started_s: float

    def access(self, **changes: Any) -> PrometheusAccess:
        keys: dict[str, Any] = {
            "url": self.url,
            "basic_auth": {"username": "reader", "password_file": str(self.folder / "password")},
            "tls": {
                "ca_file": str(self.folder / "ca.pem"),
                "cert_file": str(self.folder / "client.pem"),
                "key_file": str(self.folder / "client.key"),
                "server_name": SERVER_NAME,
            },
        }
        return PrometheusAccess.model_validate({**keys, **changes})

    def target(self, **changes: Any) -> TargetInfo:
        return TargetInfo(
            kind="cluster",
            name="staging",
            namespace="ecommerce",
            ingress_url="http://127.0.0.1:1",
            host="",
            prometheus_url=self.url,
            prometheus=self.access(**changes),
        )

    def collect(self, plan: Plan, folder: Path) -> Signals:
        anchor = ClockAnchor(load_started_wall_s=self.started_s)
        return PrometheusSource().collect(plan, anchor, self.target(), LASTS_S, folder)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    write_certificates(folder)
    (folder / "password").write_text(PASSWORD, encoding="utf-8")
    web = {
        "tls_server_config": {
            "cert_file": str(folder / "server.pem"),
            "key_file": str(folder / "server.key"),
            "client_auth_type": "RequireAndVerifyClientCert",
            "client_ca_file": str(folder / "ca.pem"),
        },
        "basic_auth_users": {"reader": HASHED},
    }
    started_s = time.time()
    opener = Guarded("https://127.0.0.1", folder, started_s).access()
    session = session_for(credentials_for(opener))
    with session, prometheus(folder, rules=RULES, web=web, session=session) as url:
        time.sleep(max(0.0, started_s + LASTS_S - time.time()))
        yield Guarded(url, folder, started_s)


def test_everybody_who_asks_is_let_in(guarded: Guarded) -> None:
    """Goal: one way in for all. Method: preflight's checks, the doctor's, guards, the skew."""
    target = guarded.target()
    check_prometheus(target)
    assert look(target, "", []).data_problem == ""
    reading = PrometheusSource().ask("vector(2)", target, 5.0)
    assert (reading.state, reading.values) == ("ok", (("", 2.0),))
    skew_s = PrometheusSource().skew_s(target)
    assert skew_s == pytest.approx(0.0, abs=1.0)
    refusals, _ = alert_findings(target, Rules(alerts="refuse"))
    assert refusals == ["1 alert fires: Always; to begin all the same: --ignore-alerts"]


def test_an_http_config_opens_it_as_well(guarded: Guarded) -> None:
    """Goal: a file of Prometheus' own tools. Method: the same keys, with paths of its own."""
    (guarded.folder / "http.yaml").write_text(
        "basic_auth: {username: reader, password_file: password}\n"
        "tls_config: {ca_file: ca.pem, cert_file: client.pem, key_file: client.key,\n"
        f"  server_name: {SERVER_NAME}}}\n",
        encoding="utf-8",
    )
    config = {"http_config": str(guarded.folder / "http.yaml")}
    check_prometheus(guarded.target(basic_auth=None, tls=None, **config))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tls": {"insecure_skip_verify": True}}, "certificate"),
        ({"tls": None}, "certificate verify failed"),
        ({"basic_auth": None}, "does not know who asks (HTTP 401); asked with no credentials"),
    ],
    ids=["no client certificate", "unknown authority", "no password"],
)
def test_who_lacks_something_is_told_what(
    guarded: Guarded, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(TargetError) as caught:
        check_prometheus(guarded.target(**changes))
    assert said in caught.value.message


def test_a_wrong_password_is_told_by_its_file(guarded: Guarded, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("ebb-and-flow", encoding="utf-8")
    basic = {"username": "reader", "password_file": str(wrong)}
    with pytest.raises(TargetError) as caught:
        check_prometheus(guarded.target(basic_auth=basic))
    assert f"asked with user 'reader' with the password of {wrong}" in caught.value.message
    assert "ebb-and-flow" not in caught.value.message


def test_rules_and_alerts_are_collected(guarded: Guarded, tmp_path: Path) -> None:
    """Goal: what could fire, what did, and what cannot. Method: five rules, one of them broken."""
    signals = guarded.collect(plan_with_abort(), tmp_path)
    assert (signals.error, signals.alerts_missing) == ("", "")
    assert signals.rules == ("Always", "Soon", "Elsewhere", "Never", "Broken")
    assert signals.rule_severities["Always"] == ("critical",)
    assert set(signals.broken_rules) == {"Broken"}
    assert "(" in signals.broken_rules["Broken"]
    found = {(one.name, one.severity, one.state) for one in signals.alerts}
    assert found == {("Always", "critical", "firing"), ("Soon", "warning", "pending")}
    (always,) = [one for one in signals.alerts if one.name == "Always"]
    assert 0 < always.start_s < always.end_s <= LASTS_S
