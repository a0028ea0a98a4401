"""A whole run on the shared sandbox: every stage from the experiment's file to the report."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from commands import NOTHING, SHOP, Ending, Place, seatrial

from runner.model.faultrecord import Effect
from runner.model.recording import Recording
from runner.targets.sandbox.control import SandboxInfo
from runner.yamltext import read_yaml

pytestmark = [pytest.mark.sandbox, pytest.mark.usefixtures("crew")]

ABORT, KILL = "01-http-abort", "02-pod-kill"
VOYAGE = {
    "load": {
        "locustfile": SHOP,
        "stages": [{"duration": "2s", "users": 60}, {"duration": "17s", "users": 60}],
    },
    "warmup": "2s",
    "faults": [
        {
            "kind": "http-abort",
            "service": "payment-api",
            "at": "6s",
            "duration": "4s",
            "status": 503,
            "percent": 50,
        },
        {"kind": "pod-kill", "service": "order-api", "at": "10s", "duration": "4s"},
    ],
    "objectives": [
        {"objective": "errors < 5%", "during": ["baseline", "recovery"]},
        {"objective": "errors < 60%", "during": "fault"},
        {"objective": "latency.p95 < 5s", "during": ["baseline", "recovery"]},
        "traffic > 10/s",
        {"objective": "latency.p95 < 5s", "service": "product-api", "during": "recovery"},
    ],
}


SECRETS = {
    # Nobody listens there: who is told and cannot be reached is told of, but not by his address.
    "SEATRIAL_NOTIFY_URLS": "json://teller:tell-me-n0t@127.0.0.1:9/?token=n0t-either",
    "LOCUST_SHOP_PASSWORD": "l0cust-secret",
    "AWS_SECRET_ACCESS_KEY": "aws-s3cret-key",
}


@pytest.fixture(scope="module")
def voyage(sandbox_info: SandboxInfo, tmp_path_factory: pytest.TempPathFactory) -> Ending:
    place = Place.make(tmp_path_factory.mktemp("voyage"), sandbox_info.home.parent)
    name = place.experiment("voyage", **VOYAGE)
    known = ("--sandbox-name", sandbox_info.name, "-o", "json", "--notify-on", "always")
    return seatrial(place, "run", name, *known, env=SECRETS)


@pytest.fixture(scope="module")
def recording(voyage: Ending) -> Recording:
    return voyage.folder.recording()


def test_the_exit_code_is_the_verdict_everywhere(voyage: Ending) -> None:
    """Goal: one verdict. Method: exit code, output, evaluation and all reports side by side."""
    assert voyage.code == 0, voyage.err
    said = json.loads(voyage.out)
    assert said["verdict"] == "pass"
    assert said["run_id"] == voyage.folder.run_id
    assert said == json.loads(voyage.folder.evaluation_path.read_text())
    report = voyage.folder.report_dir
    assert json.loads((report / "report.json").read_text())["verdict"] == "pass"
    suites = ET.fromstring((report / "junit.xml").read_text())  # noqa: S314 - our own file
    assert [e.tag for e in suites.iter() if e.tag in ("failure", "error", "skipped")] == []
    assert '<section class="verdict pass"' in (report / "index.html").read_text()
    assert "\n## ✓ Pass: voyage\n" in (report / "summary.md").read_text()
    assert f"report: {Path(*report.parts[-4:])}/index.html" in voyage.err


def test_nothing_is_left_behind(voyage: Ending) -> None:
    assert voyage.left == NOTHING


def test_the_folder_has_every_stage(voyage: Ending, recording: Recording) -> None:
    """Goal: ARCHITECTURE's layout. Method: every file by name; the experiment verbatim; links."""
    run = voyage.folder
    names = {str(path.relative_to(run.path)) for path in run.path.rglob("*") if path.is_file()}
    faults = {
        f"chaos/{fault}/{name}"
        for fault in (ABORT, KILL)
        for name in ("experiment.json", "journal.json", "effects.jsonl", "chaos.log")
    }
    kinds = ("pods", "services", "endpoints", "deployments", "virtualservices", "destinationrules")
    snapshots = {f"target/{when}/{kind}.json" for when in ("before", "after") for kind in kinds}
    reports = {
        f"report/{name}" for name in ("index.html", "report.json", "junit.xml", "summary.md")
    }
    whole = {"manifest.json", "experiment.yaml", "plan.json", "events.jsonl", "evaluation.json"}
    whole |= {"load/seconds.jsonl", "signals/signals.json", "logs/locust.log"}
    assert whole | faults | snapshots | reports <= names
    assert any(name.startswith("report/plots/") for name in names)
    assert not [name for name in names if ".tmp" in name]
    written = run.path.parents[2] / "experiments" / "voyage.yaml"
    assert run.experiment_path.read_text() == written.read_text()
    for link in (run.path.parent / "latest", run.path.parents[1] / "latest"):
        assert link.resolve() == run.path.resolve()
    assert recording.manifest.state == "recorded"


def test_no_secret_is_in_the_folder(voyage: Ending, sandbox_info: SandboxInfo) -> None:
    """Goal: no credential on disk. Method: look for each, and for the kubeconfig's, in every file.

    Nor does anything that was said show them.
    """
    (user,) = read_yaml(sandbox_info.kubeconfig)["users"]
    token = user["user"]["token"]
    assert len(token) > 15
    secrets = (token, "tell-me-n0t", "n0t-either", "l0cust-secret", "aws-s3cret-key")
    texts = {
        str(path): path.read_bytes() for path in voyage.folder.path.rglob("*") if path.is_file()
    }
    texts |= {"stdout": voyage.out.encode(), "stderr": voyage.err.encode()}
    told = [(name, one) for name, text in texts.items() for one in secrets if one.encode() in text]
    assert told == []
    assert "json://" in voyage.err  # It was tried, and failed, and did not change the verdict.


def test_client_and_mesh_count_the_same_requests(recording: Recording) -> None:
    """Goal: two instruments agree. Method: requests per phase at the users and at the ingress."""
    signals = recording.signals
    assert signals is not None
    assert signals.error == ""
    assert signals.scrape_gaps == ()
    sent = sum(row.count for row in recording.load.rows)
    seen = {s.phase: s.samples for s in signals.phases if (s.sli, s.service) == ("traffic", "")}
    assert sorted(seen) == [phase.index for phase in recording.plan.phases]
    assert sent > 600
    # The mesh is looked at once a second, so that the run's last second is not seen; and the edge
    # at which the last fault ends is put that much later on purpose.
    steady = [phase for phase in recording.plan.phases if phase.name in ("baseline", "fault")]
    start_s, end_s = steady[0].start_s, steady[-1].end_s + 1
    by_client = sum(r.count for r in recording.load.rows if start_s <= r.second < end_s)
    by_mesh = sum(seen[phase.index] or 0 for phase in steady)
    assert by_mesh == pytest.approx(by_client, rel=0.08)
    assert 0.88 * sent < sum(samples or 0 for samples in seen.values()) < 1.02 * sent


def test_faults_were_seen_by_the_mesh_and_are_gone(voyage: Ending, recording: Recording) -> None:
    """Goal: real faults. Method: flags of the mesh, refused payments, a new pod, then nothing."""
    signals = recording.signals
    assert signals is not None
    assert (signals.fault_flags[ABORT] or 0) > 10
    assert signals.late_flags[ABORT] == 0
    refused = [r for r in recording.load.rows if r.outcome == "http_5xx"]
    assert sum(r.count for r in refused if r.endpoint == "POST /api/v1/payments") > 3
    for check in ("fault-injected", "fault-seen", "fault-gone"):
        assert (voyage.finding(check, ABORT), voyage.finding(check, KILL)) == ("pass", "pass")
    effects = {f.id: [e.what for e in f.effects] for f in recording.faults}
    assert effects[ABORT] == ["injected", "verified", "removed", "gone"]
    assert effects[KILL] == ["killed", "replaced", "ready"]


def test_the_killed_pod_was_one_of_the_target_and_is_replaced(
    voyage: Ending, recording: Recording
) -> None:
    """Goal: right pod, right return. Method: pods of the Service in both snapshots."""

    def pods(when: str) -> set[str]:
        listed = json.loads((voyage.folder.target_dir(when) / "pods.json").read_text())
        named = {o["metadata"]["name"] for o in listed}
        return {f"pod/{name}" for name in named if name.startswith("order-api-")}

    (killed,) = _effects(recording, KILL, "killed")
    (replaced,) = _effects(recording, KILL, "replaced")
    before, after = pods("before"), pods("after")
    assert killed.subject in before
    assert after == before - {killed.subject} | {replaced.subject}


def test_virtual_services_are_what_they_were(voyage: Ending) -> None:
    before = voyage.virtual_services("before")
    assert len(before) == 6
    assert voyage.virtual_services("after") == before


def test_the_journal_is_whole(voyage: Ending) -> None:
    """Goal: nothing begun and not ended. Method: begins against outcomes; faults are healed."""
    begun = sorted(s.removesuffix(" begin") for s in voyage.steps if s.endswith(" begin"))
    done = sorted(s.removesuffix(" ok") for s in voyage.steps if s.endswith(" ok"))
    assert begun == done
    assert {f"{ABORT} heal", f"{KILL} heal"} <= set(done)


def test_without_a_terminal_progress_is_plain_lines(voyage: Ending) -> None:
    """Goal: readable logs. Method: the lines of standard error, in order, none of them twice."""
    lines = voyage.err.splitlines()
    assert len(set(lines)) == len(lines)
    assert "\x1b" not in voyage.err
    starts = [
        f"run {voyage.folder.run_id}",
        "opening the target ...",
        "using the running sandbox 'tests' (up since ",
        "starting the load ...",
    ]
    said = [line for line in lines if not line.startswith("warning: ")]
    assert [line[: len(start)] for line, start in zip(said, starts, strict=False)] == starts
    phases = [line.split()[1] for line in lines if line[:2].isdigit() and "users=" in line]
    assert phases[0] == "warmup"
    assert phases[-1] == "recovery"
    assert "fault" in phases
    assert any(line.startswith("load: 19s of 19s, ") for line in lines)


def _effects(recording: Recording, fault: str, what: str) -> list[Effect]:
    return [e for f in recording.faults if f.id == fault for e in f.effects if e.what == what]
