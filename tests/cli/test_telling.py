"""Telling people of the end of a run: where their addresses come from, and where they do not go."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from letterbox import receiver

from runner.catalog import evaluate_run
from runner.cli.live import View
from runner.cli.outcome import of_verdict
from runner.cli.run import _conduct
from runner.cli.telling import Audience, audience_of, tell
from runner.model.notice import Notify
from runner.progress import StopRequest
from runner.source import load_experiment, plan_of
from runner.store import RunDir, Store
from runner.testing import EPOCH_S, FakeWorld

GOOD = """\
name: good
description: A question.
load: {locustfile: shop.py, stages: [{duration: 60s, users: 10}]}
objectives: [errors < 1%]
"""
EXPERIMENTS = {"good": GOOD}
SECRET = "s3cr3t-t0ken"


def sail(world: FakeWorld, audience: Audience) -> tuple[RunDir, int]:
    source = load_experiment(Path("experiments/good.yaml"))
    found = Store(Path("results")).create_run("good", EPOCH_S)
    view = View(found, world.clock, io.StringIO())
    end = _conduct(source, plan_of(source), world.ports(), found, StopRequest(), view)
    code = of_verdict(evaluate_run(found).verdict)
    tell(audience, found, code, end, source)
    return found, code


def test_the_team_is_told_and_no_file_or_line_knows_how(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Goal: a letter with the verdict; the address nowhere. Method: grep all that the run wrote."""
    with receiver() as well, receiver(500) as ill:
        urls = f"json://127.0.0.1:{well.server_port}/{SECRET}"
        monkeypatch.setenv("SEATRIAL_NOTIFY_URLS", urls)
        (folder / "urls").write_text(f"# more\njson://x:{SECRET}@127.0.0.1:{ill.server_port}\n")
        notify = Notify.model_validate({"on": "fail", "urls_file": "urls", "timeout": "60s"})
        audience = audience_of("none", None, notify)
        assert "SEATRIAL_NOTIFY_URLS" not in os.environ
        found, code = sail(FakeWorld(error_every=4), audience)
        (body,) = well.bodies
    assert code == 1
    assert body["title"] == "✗ Fail: good"
    first, second = body["message"].splitlines()
    assert first.startswith("FAIL: 1 of 1 objective was missed. The share of failed requests was")
    assert second == f"Run: {found.run_id}"
    said = capfd.readouterr()
    refusal = "warning: json://… was not told of the end: the service refused it, or cannot be"
    assert [line for line in said.err.splitlines() if "told" in line] == [f"{refusal} reached"]
    written = [path.read_bytes() for path in Path("results").rglob("*") if path.is_file()]
    assert len(written) > 5
    assert not any(SECRET.encode() in content for content in written)
    assert SECRET not in said.out + said.err


def test_a_run_that_passes_is_no_occasion_unless_asked_for(folder: Path) -> None:
    with receiver() as box:
        address = f"json://127.0.0.1:{box.server_port}"
        sail(FakeWorld(), Audience(on="not-pass", addresses=(address,)))
        assert box.bodies == []
        sail(FakeWorld(), Audience(on="always", addresses=(address,), timeout_s=60))
        assert [body["title"] for body in box.bodies] == ["✓ Pass: good"]


def test_flags_win_over_the_file_and_never_needs_no_address(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TEAM", "slack://a slack://b")
    notify = Notify(on="fail", urls_env="TEAM", urls_file="nowhere")
    audience = audience_of("none", "always", notify)
    assert (audience.on, audience.addresses) == ("always", ("slack://a", "slack://b"))
    assert capsys.readouterr().err == (
        "warning: the addresses in nowhere cannot be read: No such file or directory\n"
    )
    monkeypatch.setenv("TEAM", "slack://a")
    assert audience_of("none", "never", notify).addresses == ()
    assert "TEAM" not in os.environ
    assert capsys.readouterr().err == ""


def test_who_asks_to_be_told_without_an_address_learns_it_before_the_run(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audience_of("none", None, Notify())
    assert capsys.readouterr().err == ""
    audience_of("none", "fail", Notify())
    assert capsys.readouterr().err == (
        "warning: nobody will be told of the end: there are no addresses in $SEATRIAL_NOTIFY_URLS\n"
    )
