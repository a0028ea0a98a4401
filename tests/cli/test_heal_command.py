"""``seatrial heal``: what it takes for its target, and what it says when there is nothing to do."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from bare_api import BareApi
from chaos_objects import virtual_service

from runner.chaos import owned
from runner.chaos.annotation import Tag
from runner.chaos.client import KubeCluster
from runner.chaos.objects import CONFIG_MAPS
from runner.chaos.reaper import manifest
from runner.chaos.virtualservice import abort_block, add_fault
from runner.model.experiment import Experiment
from runner.model.plan import make_plan
from runner.model.recording import Event, Manifest, TargetInfo
from runner.store import RunDir, Store

Run = Callable[..., tuple[int, str, str]]
MISSING = "2026-01-01T000000Z-abcd"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEATRIAL_SANDBOX_HOME", str(tmp_path / "sandboxes"))
    return tmp_path


@pytest.fixture
def wrecked(folder: Path) -> RunDir:
    """A run on a sandbox called 'gone', with a fault that nobody has undone."""
    store = Store(folder / "results")
    wreck = store.create_run("wreck", 1_700_000_000.0)
    experiment = Experiment.model_validate(
        {
            "name": "wreck",
            "description": "d",
            "load": {"locustfile": "x", "stages": [{"duration": "20s", "users": 1}]},
            "objectives": ["errors < 1%"],
        }
    )
    wreck.write_plan(make_plan(experiment), "")
    target = TargetInfo(
        kind="sandbox",
        name="gone",
        namespace="ecommerce",
        ingress_url="",
        host="",
        prometheus_url="",
    )
    wreck.write_manifest(
        Manifest(
            run_id=wreck.run_id,
            experiment="wreck",
            experiment_sha256="",
            state="running",
            created_at="",
            target=target,
        )
    )
    wreck.append_event(Event(wall_s=1.0, source="01-x", action="inject", kind="begin"))
    store.link_latest(wreck)
    return wreck


@pytest.mark.parametrize("name", ["latest", "wreck", "run id", "path"])
def test_a_sandbox_of_a_recorded_run_that_is_gone_is_healed(
    run: Run, wrecked: RunDir, name: str
) -> None:
    """Goal: everything that names a run is understood. Method: all four; the journal is closed."""
    named = {"run id": wrecked.run_id, "path": str(wrecked.path)}.get(name, name)
    code, out, err = run("heal", named)
    assert (code, out) == (0, "")
    assert err == "the sandbox 'gone' is gone, and every fault in it\n"
    assert [(e.action, e.kind) for e in wrecked.read_events()][-1] == ("heal", "ok")


@pytest.mark.parametrize("argv", [("--all",), ("latest",), (MISSING,), ("--expired",)])
def test_a_sandbox_that_nobody_has_heard_of_is_2_with_the_known_ones(
    run: Run, wrecked: RunDir, argv: tuple[str, ...]
) -> None:
    """Goal: a typo is no success, and no flag is ignored. Method: a name that is none."""
    code, _, err = run("heal", *argv, "--sandbox-name", "zzz")
    assert code == 2
    assert "there is no sandbox 'zzz', and no run that used one of that name" in err
    assert "accepted: gone\n" in err
    assert len(wrecked.read_events()) == 1  # Nothing was healed, so nothing is written.


def test_a_sandbox_that_is_known_and_not_up_has_no_fault(run: Run, wrecked: RunDir) -> None:
    said = "the sandbox {!r} is not up, so there is no fault in it\n"
    assert run("heal", "--all", "--sandbox-name", "gone") == (0, "", said.format("gone"))
    assert run("heal", "--all") == (0, "", said.format("default"))


def test_a_sandbox_name_goes_with_a_sandbox(run: Run, wrecked: RunDir) -> None:
    code, _, err = run("heal", "latest", "--target", "staging", "--sandbox-name", "gone")
    assert code == 2
    assert "the target 'staging' is not a sandbox, so --sandbox-name says nothing" in err


@pytest.mark.sandbox
def test_a_run_that_left_nothing_is_named_with_the_faults_of_others(
    run: Run, wrecked: RunDir, folder: Path, bare_api: BareApi
) -> None:
    """Goal: 'nothing' is about what was asked. Method: a fault of another run on the target."""
    target = {
        "context": bare_api.target.context,
        "kubeconfig": str(bare_api.kubeconfig),
        "namespace": bare_api.target.namespace,
        "ingress": "http://127.0.0.1:1",
        "prometheus": "http://127.0.0.1:1",
    }
    (folder / "seatrial.yaml").write_text(json.dumps({"targets": {"bare": target}}))
    other = "2026-02-02T020202Z-beef"
    expires = "2999-01-01T00:00:00Z"
    tag = Tag(other, "01-abort", "ann", expires, "said", abort_block(503, 50))
    bare_api.put(add_fault(virtual_service("said"), tag))
    mark = f"virtualservice/said still carries the fault 01-abort of run {other}"
    try:
        code, out, err = run("heal", MISSING, "--target", "bare")
        assert (code, out) == (
            0,
            f"nothing to heal: no fault of run {MISSING} in ecommerce of bare\n",
        )
        assert f"not asked for: {mark}\n" in err
        code, out, _ = run("heal", "latest", "--target", "bare", "-o", "json")
        assert code == 0
        found = json.loads(out)
        assert (found["removed"], found["left"]) == ([], [])
        assert mark in found["others"]
        assert len(wrecked.read_events()) == 1  # It was not this target where the run was.
        code, out, _ = run("heal", other, "--target", "bare")
        assert (code, out) == (0, "healed: virtualservice/said in ecommerce\n")
    finally:
        bare_api.delete("said")


# -- a cluster by flags alone ----------------------------------------------------------------------


def flags(api: BareApi) -> list[str]:
    return ["--context", api.target.context, "--kubeconfig", str(api.kubeconfig), "-n", "ecommerce"]


def put_fault(api: BareApi, name: str, run_id: str, expires: str) -> None:
    tag = Tag(run_id, "01-abort", "ann", expires, name, abort_block(503, 50))
    api.put(add_fault(virtual_service(name), tag))


@pytest.mark.sandbox
def test_a_kubeconfig_is_all_that_it_needs(run: Run, folder: Path, bare_api: BareApi) -> None:
    """Goal: from any machine. Method: an empty folder, and a broken seatrial.yaml; only what is
    expired, then all of it everywhere; JSON."""
    (folder / "seatrial.yaml").write_text("targets: [")
    other = "2026-02-02T020202Z-beef"
    put_fault(bare_api, "old", other, "2001-01-01T00:00:00Z")
    put_fault(bare_api, "young", other, "2999-01-01T00:00:00Z")
    try:
        code, out, err = run("heal", "--expired", *flags(bare_api))
        assert (code, out) == (0, "healed: virtualservice/old in ecommerce\n")
        assert "seatrial.yaml has mistakes, and is not needed" in err
        assert f"virtualservice/young still carries the fault 01-abort of run {other}" in err
        code, out, _ = run("heal", "--all", "--everywhere", *flags(bare_api), "-o", "json")
        assert code == 0
        assert json.loads(out)["removed"] == ["virtualservice/young in ecommerce"]
        code, out, _ = run("heal", "--all", "--everywhere", *flags(bare_api))
        assert out == "nothing to heal: no fault in any namespace of seatrial-bare\n"
    finally:
        for name in ("old", "young"):
            bare_api.delete(name)


@pytest.mark.sandbox
def test_a_run_on_a_cluster_by_flags_is_healed_where_it_was(
    run: Run, wrecked: RunDir, bare_api: BareApi
) -> None:
    """Goal: RUN is enough on the machine where it ran. Method: its manifest keeps the flags."""
    told = TargetInfo(
        kind="cluster",
        name=bare_api.target.context,
        namespace="ecommerce",
        ingress_url="http://i",
        host="",
        prometheus_url="http://p",
        context=bare_api.target.context,
        flags=" ".join([*flags(bare_api)[:4], "--namespace", "ecommerce", "--ingress", "http://i"]),
    )
    manifest = wrecked.read_manifest()
    wrecked.write_manifest(manifest.model_copy(update={"target": told}))
    put_fault(bare_api, "flagged", wrecked.run_id, "2999-01-01T00:00:00Z")
    try:
        code, out, _ = run("heal", "latest")
        assert (code, out) == (0, "healed: virtualservice/flagged in ecommerce\n")
        assert [(e.action, e.kind) for e in wrecked.read_events()][-1] == ("heal", "ok")
    finally:
        bare_api.delete("flagged")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--kubeconfig", "k"), "of which cluster?"),
        (("--context", "c"), "missing --namespace"),
        (("--timeout", "30"), "--timeout: '30' is not a duration"),
        (("--timeout", "0s"), "--timeout: there must be time to try"),
        (("-n", "n", "--sandbox-name", "s"), "the sandbox has its own namespace"),
        (("--context", "c", "-n", "n", "--sandbox-name", "s"), "--sandbox-name says nothing"),
    ],
)
def test_half_an_address_is_2(run: Run, folder: Path, words: tuple[str, ...], said: str) -> None:
    code, _, err = run("heal", "--all", *words)
    assert code == 2
    assert said in err


# -- the reaper's manifest -------------------------------------------------------------------------


def test_the_manifest_of_the_reaper_is_printed_and_nothing_else(run: Run, folder: Path) -> None:
    code, out, err = run("reaper", "-n", "shop", "--image", "i:1", "--every", "5m", "--nodes")
    assert (code, err) == (0, "")
    assert out == manifest("shop", "i:1", every_s=300.0, nodes=True)


@pytest.mark.parametrize(("every", "said"), [("7m", "cannot run every 420 s"), ("5", "--every 5:")])
def test_an_interval_that_cron_has_not_is_2(run: Run, folder: Path, every: str, said: str) -> None:
    code, _, err = run("reaper", "-n", "shop", "--every", every)
    assert code == 2
    assert said in err


# -- a fault that only its own rollbacks undo ------------------------------------------------------


@pytest.mark.sandbox
def test_rollbacks_are_played_where_the_runs_folder_is_and_named_elsewhere(
    run: Run, wrecked: RunDir, folder: Path, bare_api: BareApi
) -> None:
    """Goal: what other people's activities did is undone by their own rollbacks, or not claimed to
    be. Method: a marker on the cluster; heal from a machine without the folder, then with it."""
    undone = folder / "undone"
    rollback = {
        "type": "action",
        "name": "open-the-gate",
        "provider": {
            "type": "process",
            "path": sys.executable,
            "arguments": ["-c", f"open({str(undone)!r}, 'w').close()"],
        },
    }
    experiment = {"title": "t", "description": "d", "method": [], "rollbacks": [rollback]}
    fault = wrecked.fault_dir("01-gate")
    fault.mkdir(parents=True)
    (fault / "experiment.json").write_text(json.dumps(experiment))
    marked = Tag(wrecked.run_id, "01-gate", "ann@laptop", "2999-01-01T00:00:00Z")
    cluster = KubeCluster(str(bare_api.kubeconfig), bare_api.target.context)
    marker = cluster.create(CONFIG_MAPS, owned.make(CONFIG_MAPS, "ecommerce", marked, {}))
    subject = f"configmap/{marker['metadata']['name']} in ecommerce"
    where = flags(bare_api)

    code, _, err = run("heal", wrecked.run_id, *where, "--results", "elsewhere")
    assert code == 5
    assert f"STILL BROKEN: {subject}: fault 01-gate of run {wrecked.run_id}: its rollbacks" in err
    assert f"where ann@laptop has started it; there: seatrial heal {wrecked.run_id} (or, " in err
    assert not undone.exists()
    code, out, err = run("heal", str(wrecked.path), *where, "--timeout", "60s")
    assert (code, out) == (0, f"healed: {subject}\n"), err
    assert undone.exists()
    assert cluster.items(CONFIG_MAPS, "ecommerce", owned.OWNED_SELECTOR) == []
