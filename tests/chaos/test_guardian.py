"""Real guardians against a real API server: what they do when their runner is killed."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from bare_api import NAMESPACE, BareApi, users_part
from chaos_fakes import FakeCluster
from chaos_objects import virtual_service

from runner.chaos import virtualservice as vs_
from runner.chaos.annotation import Tag
from runner.chaos.guardian import Guardian, sandbox_is_gone
from runner.chaos.lookout import Lookout
from runner.chaos.toolkit import ToolkitInjector
from runner.errors import FaultError
from runner.journal import Journal
from runner.model import lock
from runner.model.recording import Manifest, unhealed
from runner.private import PrivateFolder
from runner.process import SystemClock
from runner.store import RunDir, Store
from runner.targets import halting, lease

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")

RUNNER = """
    import json, sys, time
    from pathlib import Path
    from runner.chaos.toolkit import ToolkitInjector
    from runner.model.recording import TargetInfo
    folder, target = Path(sys.argv[2]), TargetInfo.model_validate(json.loads(sys.argv[1]))
    guardian = ToolkitInjector().guard(folder.name, target, folder)
    while not guardian.ready():
        assert guardian.poll() is None, guardian.tail(9)
        time.sleep(0.05)
    print(guardian.pid, flush=True)
    sys.stdin.readline()
"""
"""A runner: it has a guardian, and waits to be killed."""


def until(condition: Callable[[], Any], what: str, bound_s: float = 30.0) -> None:
    end_s = time.monotonic() + bound_s
    while not condition():
        assert time.monotonic() < end_s, f"not within {bound_s} s: {what}"
        time.sleep(0.05)


@dataclass
class Voyage:
    """A run with a fault in place, that somebody guards.

    Attributes:
        vs: Name of the disturbed VirtualService.
        before: What the user owns of it.
    """

    api: BareApi
    run: RunDir
    vs: str
    before: dict[str, Any]

    def healed(self) -> bool:
        return users_part(self.api.get(self.vs)) == self.before

    def on_record(self) -> bool:
        return unhealed(self.run.read_events()) == frozenset()

    def heals(self) -> list[str]:
        events = self.run.read_events()
        return [f"{e.source} {e.kind}" for e in events if e.action == "heal"]


@pytest.fixture
def voyage(bare_api: BareApi, tmp_path: Path, request: pytest.FixtureRequest) -> Voyage:
    name = f"g-{request.node.name.replace('_', '-')[:40]}"
    run = Store(tmp_path / "results").create_run("x", time.time())
    manifest = Manifest(
        run_id=run.run_id,
        experiment="x",
        experiment_sha256="0" * 64,
        state="running",
        created_at="2026-01-01T00:00:00Z",
    )
    run.write_manifest(manifest)
    before = users_part(bare_api.put(virtual_service(name)))
    disturb(bare_api, name, run)
    return Voyage(bare_api, run, name, before)


def disturb(api: BareApi, vs: str, run: RunDir) -> None:
    """What the child of a fault does, and what the conductor writes before it."""
    Journal(run, SystemClock()).write("01-http-abort", "inject", "begin")
    block = vs_.abort_block(503, 50)
    tag = Tag(run.run_id, "01-http-abort", "o", "2999-01-01T00:00:00Z", vs, block)
    api.edit(vs_.add_fault(api.get(vs), tag))


@pytest.fixture
def orphanage(voyage: Voyage, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A runner that can be killed, and the process id of its guardian."""
    target = voyage.api.target.model_dump() | {"kubeconfig": voyage.api.target.kubeconfig}
    temporary = tmp_path / "t"
    temporary.mkdir()
    argv = [sys.executable, "-c", textwrap.dedent(RUNNER)]
    with subprocess.Popen(
        [*argv, json.dumps(target), str(voyage.run.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(temporary)},
    ) as runner:
        assert runner.stdout is not None
        pid = int(runner.stdout.readline())
        yield runner, pid
        runner.kill()
    until(lambda: not Path(f"/proc/{pid}").exists(), "the end of the guardian")
    assert list(temporary.iterdir()) == []  # Its private folder went with it.


@pytest.mark.sandbox
@LINUX
def test_it_heals_when_its_runner_is_killed(
    voyage: Voyage, orphanage: tuple[subprocess.Popen[str], int]
) -> None:
    """Goal: SIGKILL is survived, and put on record; the Lease is given back. Method: kill a runner
    with a fault in place; a terminal that hangs up before that changes nothing."""
    runner, guardian = orphanage
    assert not voyage.healed()
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        os.kill(guardian, number)
    lease.take(voyage.api.target, voyage.run.run_id, lease.unhealed)
    runner.kill()
    until(voyage.healed, "the heal", 5.0)
    until(voyage.on_record, "the record", 5.0)
    assert voyage.heals() == ["guardian begin", "guardian ok", "01-http-abort ok"]
    manifest = voyage.run.read_manifest()
    assert manifest.state == "failed"
    assert manifest.reason.startswith("its runner was killed; the guardian healed 01-http-abort in")
    until(lambda: not Path(f"/proc/{guardian}").exists(), "the end of the guardian")
    assert lease_names(voyage.api) == []


@pytest.mark.sandbox
@LINUX
def test_one_that_is_dismissed_leaves_nothing(voyage: Voyage, tmp_path: Path) -> None:
    """Goal: a run that ends well has no second end. Method: it renews, obeys the switch, heals on
    request, and goes."""
    target, run_id = voyage.api.target, voyage.run.run_id
    injector = ToolkitInjector()
    lease.take(target, run_id, lease.unhealed)
    guardian = injector.guard(run_id, target, voyage.run.path)
    try:
        until(guardian.ready, guardian.tail(5))
        assert (guardian.word(), guardian.poll()) == (None, None)
        report = injector.heal(run_id, "01-http-abort", target)
        assert report.removed == (f"virtualservice/{voyage.vs} in {NAMESPACE}",)
        assert voyage.healed()
        assert guardian.heal(None) == injector.heal(run_id, None, target)
        halting.halt(target, "enough")
        until(guardian.word, "the word")
        assert str(guardian.word()).startswith(f"every run in {NAMESPACE} was told to stop: enough")
    finally:
        halting.lift(target)
        guardian.dismiss(10.0)
        lease.release(target, run_id)
    assert guardian.poll() == 0
    guardian.dismiss(1.0)
    assert voyage.heals() == []
    assert not Path(f"/proc/{guardian.pid}").exists()
    assert injector.heal(run_id, None, target).left == ()  # Now by a program of its own.


@pytest.mark.sandbox
@LINUX
def test_one_that_is_left_goes_on_alone(voyage: Voyage) -> None:
    """Goal: what a runner cannot heal is not given up with it. Method: leave it a fault, and take
    the kubeconfig of the run away, as its end does."""
    with PrivateFolder() as private:
        kubeconfig = private / "kubeconfig"
        kubeconfig.write_bytes(voyage.api.kubeconfig.read_bytes())
        target = voyage.api.target.model_copy(update={"kubeconfig": str(kubeconfig)})
        guardian = ToolkitInjector().guard(voyage.run.run_id, target, voyage.run.path)
    until(guardian.ready, guardian.tail(5))
    argv = Path(f"/proc/{guardian.pid}/cmdline").read_text().split("\0")
    copy = Path(argv[argv.index("--kubeconfig") + 1])
    assert copy.read_bytes() == voyage.api.kubeconfig.read_bytes()
    assert copy.stat().st_mode & 0o777 == 0o600
    guardian.leave()
    until(voyage.healed, "the heal", 5.0)
    until(voyage.on_record, "the record", 5.0)
    assert voyage.run.read_manifest().state == "running"  # The runner's affair.
    guardian.dismiss(0.0)  # It would look again for ten seconds.


@pytest.mark.sandbox
def test_one_without_a_kubeconfig_says_so_and_ends(bare_api: BareApi, tmp_path: Path) -> None:
    """Goal: a run without its dead-man is refused. Method: no file, and one that is none."""
    run = Store(tmp_path).create_run("x", time.time())
    torn = tmp_path / "kubeconfig"
    target = bare_api.target.model_copy(update={"kubeconfig": str(torn)})
    with pytest.raises(FaultError, match="target bare has no kubeconfig"):
        ToolkitInjector().guard(run.run_id, target, run.path)
    torn.write_text("no kubeconfig")
    guardian = ToolkitInjector().guard(run.run_id, target, run.path)
    until(lambda: guardian.poll() is not None, "its end")
    assert not guardian.ready()
    assert "the kubeconfig" in guardian.tail(1)
    guardian.dismiss(1.0)


def served(tmp_path: Path, cluster: FakeCluster, *lines: str) -> tuple[str, list[dict[str, Any]]]:
    """How a guardian takes its end that is told these lines, and what it says."""
    run = RunDir(tmp_path / "2026-01-02T030405Z-ab12")
    said: list[dict[str, Any]] = []
    guardian = Guardian(cluster, NAMESPACE, run, say=lambda **line: said.append(line))
    return guardian.serve(lines), said


@pytest.mark.parametrize(
    ("lines", "end"),
    [
        ((), "gone"),
        (("dismissed\n",), "dismissed"),
        (("left\n", "dismissed\n"), "left"),
        (("dismi",), "gone"),  # The last that a killed runner wrote.
        (("heal",), "gone"),
        (("heal 1 01-",), "gone"),
    ],
)
def test_an_end_without_a_word_is_a_death(tmp_path: Path, lines: tuple[str, ...], end: str) -> None:
    assert served(tmp_path, FakeCluster(), *lines) == (end, [])


def test_each_request_to_heal_has_its_answer(tmp_path: Path) -> None:
    """Goal: no answer is taken for another's. Method: two requests, the first is refused."""
    block = vs_.abort_block(503, 50)
    tag = Tag("2026-01-02T030405Z-ab12", "01-x", "o", "2999-01-01T00:00:00Z", "payment-api", block)
    cluster = FakeCluster(refuse={"items": [403] * 7})
    cluster.put(vs_.add_fault(virtual_service(), tag))
    _, said = served(tmp_path, cluster, "heal 7 01-x\n", "heal 8\n", "dismissed\n")
    assert [line["to"] for line in said] == [7, 8]
    assert "HTTP 403" in said[0]["error"]
    assert said[1]["healed"]["removed"] == [f"virtualservice/payment-api in {NAMESPACE}"]
    assert cluster.spec("payment-api") == virtual_service()


def test_a_word_is_told_now_and_then_and_a_lookout_that_fails_looks_again(tmp_path: Path) -> None:
    """Goal: the watch never ends before the run, and a word that was lost is said again. Method: an
    error, then a word that stays for seven looks."""
    said: list[dict[str, Any]] = []
    guardian = Guardian(
        FakeCluster(), NAMESPACE, RunDir(tmp_path), say=lambda **one: said.append(one)
    )

    class Odd(Lookout):
        looks = 0

        def look(self) -> str:
            Odd.looks += 1
            if Odd.looks == 1:
                raise ValueError("what nobody thought of")
            if Odd.looks == 8:
                guardian.end_lookout()
            return "enough"

    guardian.keep_lookout(Odd(FakeCluster(), NAMESPACE, "run"), every_s=0.0)
    assert said == [{"word": "enough"}] * 2
    assert Odd.looks == 8


def test_lines_of_two_threads_are_not_mixed(tmp_path: Path) -> None:
    """Goal: no word is lost in an answer. Method: a program whose threads say lines that are longer
    than a pipe; are all of them JSON?"""
    program = """
        import threading
        from runner.chaos.guardian import say
        def talk(who):
            for number in range(20):
                say(who=who, number=number, text=who * 100_000)
        threads = [threading.Thread(target=talk, args=(who,)) for who in "ab"]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        timeout=60,
        check=True,
    )
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert sorted((line["who"], line["number"], len(line["text"])) for line in said) == [
        (who, number, 100_000) for who in "ab" for number in range(20)
    ]


def test_a_sandbox_is_gone_with_its_folder_or_its_lock(tmp_path: Path) -> None:
    """Goal: nobody waits for the API server of a sandbox that ended with its runner."""
    kubeconfig = tmp_path / "kubeconfig"
    assert sandbox_is_gone(kubeconfig)
    kubeconfig.write_text("")
    assert not sandbox_is_gone(kubeconfig)  # Nobody knows.
    with (tmp_path / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert not sandbox_is_gone(kubeconfig)
    assert sandbox_is_gone(kubeconfig)


def lease_names(api: BareApi) -> list[str]:
    found = api.custom.list_namespaced_custom_object(
        "coordination.k8s.io", "v1", NAMESPACE, "leases"
    )
    names = [item["metadata"]["name"] for item in found["items"]]
    return [name for name in names if name == lock.LEASE]
