"""Real Chaos Toolkit children: what they do, what stops them, and what is left when they die."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bare_api import BareApi, users_part
from chaos_objects import route, virtual_service
from chaos_plans import planned

from runner.chaos.toolkit import ChaosChild, ToolkitInjector, chaos_argv, child_environment
from runner.chaos.toolkit import heal_target as heal_on
from runner.errors import FaultError, LeftBrokenError
from runner.model.recording import TargetInfo
from runner.private import LOCK, PrivateFolder

RUN = "2026-11-20T092337Z-ab12"
LEAD_S = 2.5
FILES = ["chaos.log", "effects.jsonl", "experiment.json", "journal.json"]


def until(condition: Callable[[], Any], what: str, bound_s: float = 20.0) -> None:
    end_s = time.monotonic() + bound_s
    while not condition():
        assert time.monotonic() < end_s, f"not within {bound_s} s: {what}"
        time.sleep(0.05)


def names(api: BareApi, vs: str) -> list[str | None]:
    return [r.get("name") for r in api.routes(vs)]


def journal(workdir: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((workdir / "journal.json").read_text())
    return read


def effects(workdir: Path) -> dict[str, float]:
    lines = (workdir / "effects.jsonl").read_text().splitlines()
    return {e["what"]: e["wall_s"] for e in map(json.loads, lines)}


def start(
    api: BareApi, workdir: Path, vs: str, duration_s: float = 60.0, **fields: Any
) -> ChaosChild:
    """A child whose abort begins at once and stays for a minute."""
    fault = planned("http-abort", vs, duration_s=duration_s, **fields)
    child = ToolkitInjector().inject(fault, RUN, api.target, workdir, time.time())
    until(lambda: len(names(api, vs)) == 2, child.tail(20))
    return child


@pytest.mark.sandbox
def test_overlapping_faults_come_and_go_at_their_times(bare_api: BareApi, tmp_path: Path) -> None:
    """Goal: the whole way through ``chaos run``. Method: an abort, and a delay that begins within
    it and ends after it, on one route; then journals, effects, files and the restored object."""
    before = users_part(bare_api.put(virtual_service("tk-life")))
    injector, target = ToolkitInjector(), bare_api.target
    faults = [
        planned("http-abort", "tk-life", number=1, start_s=10.0, duration_s=1.0),
        planned("http-delay", "tk-life", number=2, start_s=10.5, duration_s=1.0),
    ]
    zero_s = time.time() + LEAD_S - 10.0
    jobs = [injector.inject(f, RUN, target, tmp_path / f.id, zero_s + f.start_s) for f in faults]
    assert names(bare_api, "tk-life") == [None]
    blocks = set()
    while any(job.poll() is None for job in jobs):
        blocks.add(json.dumps([sorted(r.get("fault", {})) for r in bare_api.routes("tk-life")]))
        time.sleep(0.05)
    assert blocks >= {
        '[["abort"], []]',
        '[["abort", "delay"], ["abort"], []]',
        '[["delay"], []]',
    }
    for fault, job in zip(faults, jobs, strict=True):
        workdir = tmp_path / fault.id
        assert job.poll() == 0, job.tail(20)
        job.stop(1.0)
        assert sorted(path.name for path in workdir.iterdir()) == FILES
        record = journal(workdir)
        assert (record["status"], record["deviated"]) == ("completed", False)
        steps = [*record["run"], *record["rollbacks"]]
        assert [step["status"] for step in steps] == ["succeeded"] * 6
        seen = effects(workdir)
        assert list(seen) == ["injected", "verified", "removed", "gone"]
        assert zero_s + fault.start_s <= seen["injected"]
        assert zero_s + fault.end_s <= seen["removed"]
    assert users_part(bare_api.get("tk-life")) == before
    assert heal_on(target, RUN, None).removed == ()


@pytest.mark.sandbox
def test_child_that_is_killed_leaves_a_fault_and_heal_takes_it(
    bare_api: BareApi, tmp_path: Path
) -> None:
    """Goal: SIGKILL is survived. Method: kill the child, edit as a user, heal twice."""
    bare_api.put(virtual_service("tk-kill"))
    child = start(bare_api, tmp_path, "tk-kill")
    os.kill(child.pid, signal.SIGKILL)
    child.stop(1.0)
    assert child.poll() == -signal.SIGKILL
    assert not (tmp_path / "journal.json").exists()
    edited = bare_api.get("tk-kill")
    edited["spec"]["http"][-1]["timeout"] = "7s"
    bare_api.edit(edited)
    injector = ToolkitInjector()
    report = injector.heal(RUN, "01-http-abort", bare_api.target)
    assert report.removed == ("virtualservice/tk-kill in ecommerce",)
    assert report.left == ()
    assert injector.heal(RUN, None, bare_api.target).removed == ()
    expected = users_part(virtual_service("tk-kill", route("tk-kill", timeout="7s")))
    assert users_part(bare_api.get("tk-kill")) == expected


@pytest.mark.sandbox
@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_child_that_is_asked_to_end_undoes_its_fault(
    bare_api: BareApi, tmp_path: Path, number: signal.Signals
) -> None:
    """Goal: an orderly end heals; SIGTERM, which the tool swallows, as well. Method: signal a child
    in the middle of its fault and read the object and the journal."""
    vs = f"tk-{number.name.lower()}"
    before = users_part(bare_api.put(virtual_service(vs)))
    child = start(bare_api, tmp_path, vs)
    if number == signal.SIGUSR1:
        child.stop(15.0)
    else:
        os.kill(child.pid, number)
        until(lambda: child.poll() is not None, child.tail(20))
        child.stop(1.0)
    assert users_part(bare_api.get(vs)) == before
    record = journal(tmp_path)
    assert record["status"] == "interrupted"
    assert [step["status"] for step in record["rollbacks"]] == ["succeeded"] * 2
    assert "gone" in effects(tmp_path)


@pytest.mark.sandbox
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows the files of a process")
def test_child_holds_the_private_folders_that_it_needs(bare_api: BareApi, tmp_path: Path) -> None:
    """Goal: nobody tidies away what an orphan rolls back with. Method: the child's open files."""
    with PrivateFolder() as folder:
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_bytes(bare_api.kubeconfig.read_bytes())
        target = bare_api.target.model_copy(update={"kubeconfig": str(kubeconfig)})
        fault = planned("http-abort", "tk-none", duration_s=60.0)
        child = ToolkitInjector().inject(fault, RUN, target, tmp_path, time.time() + 60)
        files = {link.resolve() for link in Path(f"/proc/{child.pid}/fd").iterdir()}
        child.stop(0.1)
    held = {path.parent for path in files if path.name == LOCK}
    assert folder in held
    assert len(held) == 2  # The other one is its own,
    assert not any(path.exists() for path in held)  # and went with it.


@pytest.mark.sandbox
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_orphan_undoes_its_fault(bare_api: BareApi, tmp_path: Path) -> None:
    """Goal: SIGKILL of the supervisor is survived. Method: a supervisor that injects and waits."""
    before = users_part(bare_api.put(virtual_service("tk-orphan")))
    temporary = tmp_path / "t"
    temporary.mkdir()
    script = """
        import sys, time
        from pathlib import Path
        sys.path.insert(0, sys.argv[3])
        from chaos_plans import planned
        from runner.chaos.toolkit import ToolkitInjector
        from runner.model.recording import TargetInfo
        target = TargetInfo.model_validate_json(sys.argv[1])
        fault = planned("http-abort", "tk-orphan", duration_s=60.0)
        ToolkitInjector().inject(fault, "run", target, Path(sys.argv[2]), time.time())
        time.sleep(60)
    """
    target = bare_api.target.model_dump() | {"kubeconfig": bare_api.target.kubeconfig}
    supervisor = subprocess.Popen(
        [
            *(sys.executable, "-c", textwrap.dedent(script)),
            *(json.dumps(target), str(tmp_path / "w"), str(Path(__file__).parent)),
        ],
        env=os.environ | {"TMPDIR": str(temporary)},
    )
    try:
        until(lambda: len(names(bare_api, "tk-orphan")) == 2, "the fault")
    finally:
        supervisor.kill()
        supervisor.wait()
    until(lambda: users_part(bare_api.get("tk-orphan")) == before, "the undo", 10.0)
    until((tmp_path / "w" / "journal.json").exists, "the journal", 10.0)
    assert journal(tmp_path / "w")["status"] == "interrupted"
    until(lambda: not list(temporary.iterdir()), "the removal of its private folder", 10.0)


@pytest.mark.sandbox
def test_impossible_fault_ends_before_its_start_and_says_why(
    bare_api: BareApi, tmp_path: Path
) -> None:
    """Goal: no silent success. Method: a service that nobody routes to, far ahead of its start."""
    bare_api.put(virtual_service("tk-other"))
    fault = planned("http-delay", "tk-nobody")
    child = ToolkitInjector().inject(fault, RUN, bare_api.target, tmp_path, time.time() + 60)
    until(lambda: child.poll() is not None, "the end of the child")
    child.stop(1.0)
    assert child.poll() == 1
    assert "routes HTTP requests to tk-nobody; looked at:" in child.tail(3)
    record = journal(tmp_path)
    assert (record["status"], record["run"]) == ("failed", [])


@pytest.mark.sandbox
def test_heal_that_cannot_look_says_what_to_do(bare_api: BareApi, tmp_path: Path) -> None:
    """Goal: exit 5 when nobody knows. Method: an API server that is not there."""
    dead = tmp_path / "kubeconfig"
    text = bare_api.kubeconfig.read_text()
    address = json.loads(text)["clusters"][0]["cluster"]["server"]
    dead.write_text(text.replace(address, "https://127.0.0.1:1"))
    target = bare_api.target.model_copy(update={"kubeconfig": str(dead)})
    with pytest.raises(LeftBrokenError, match=r"in ecommerce of bare: .*no answer") as caught:
        heal_on(target, RUN, None, attempts=1, deadline_s=0.1)
    assert caught.value.hint.endswith(f": seatrial heal {RUN} --sandbox-name bare")


# -- without a child -------------------------------------------------------------------------------

NOWHERE = TargetInfo(
    kind="sandbox",
    name="x",
    namespace="n",
    ingress_url="http://127.0.0.1:1",
    host="",
    prometheus_url="http://127.0.0.1:1",
)


def test_target_without_a_kubeconfig_is_refused(tmp_path: Path) -> None:
    """Goal: never a default cluster. Method: no kubeconfig, and one that is not there."""
    for kubeconfig in ("", str(tmp_path / "none")):
        target = NOWHERE.model_copy(update={"kubeconfig": kubeconfig})
        with pytest.raises(FaultError, match="target x has no kubeconfig"):
            ToolkitInjector().inject(planned("http-abort"), RUN, target, tmp_path / "w", 0.0)
    assert not (tmp_path / "w").exists()


def test_child_calls_nobody_and_writes_only_into_its_folder(tmp_path: Path) -> None:
    """Goal: no phoning home, no stray files. Method: the command line."""
    argv = chaos_argv("python", tmp_path)
    assert argv[:6] == ["python", "-P", "-m", "chaostoolkit", "--no-version-check", "--no-log-file"]
    assert [argv[argv.index("--rollback-strategy") + 1], argv[-1]] == [
        "always",
        str(tmp_path / "experiment.json"),
    ]
    assert argv[argv.index("--settings") + 1] == str(tmp_path / "no-settings.yaml")


@pytest.mark.parametrize(("kind", "proxied"), [("sandbox", False), ("cluster", True)])
def test_childs_environment_names_one_cluster(tmp_path: Path, kind: Any, proxied: bool) -> None:
    """Goal: only the target can be reached. Method: settings of other clusters, and a proxy."""
    mine = {
        "PATH": "p",
        "KUBERNETES_HOST": "other",
        "CHAOSTOOLKIT_IN_POD": "true",
        "KUBECONFIG": "a:b",
        "https_proxy": "http://proxy",
    }
    target = NOWHERE.model_copy(
        update={"kind": kind, "kubeconfig": str(tmp_path / "k"), "context": "c"}
    )
    assert child_environment(mine, target, tmp_path) == {
        "PATH": "p",
        "KUBECONFIG": str(tmp_path / "k"),
        "KUBERNETES_CONTEXT": "c",
        "TMPDIR": str(tmp_path),
        "SEATRIAL_PRIVATE": str(tmp_path),
        "PYTHONUNBUFFERED": "1",
        "TERM": "dumb",
        **({"https_proxy": "http://proxy"} if proxied else {}),
    }


def test_supervisor_loads_no_client() -> None:
    """Goal: the supervisor stays small. Method: the modules that the injector brings along."""
    code = "import sys, runner.chaos.toolkit; print(sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    for heavy in ("'kubernetes'", "'chaoslib'", "'requests'", "'urllib3'"):
        assert heavy not in loaded


def test_ctrl_c_in_a_terminal_does_not_reach_a_heal(tmp_path: Path) -> None:
    """Goal: an undo is finished. Method: a program in its place that reports its session."""
    program = tmp_path / "python"
    answer = '{"removed": ["%s"], "left": [], "others": []}'
    program.write_text(f"#!{sys.executable}\nimport os\nprint('{answer}' % os.getsid(0))\n")
    program.chmod(0o700)
    target = TargetInfo(
        kind="cluster",
        name="t",
        namespace="n",
        ingress_url="http://i",
        host="",
        prometheus_url="http://p",
        kubeconfig=str(tmp_path / "kubeconfig"),
    )
    (session,) = heal_on(target, RUN, None, python=str(program)).removed
    assert int(session) != os.getsid(0)
