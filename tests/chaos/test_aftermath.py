"""What is done when a runner is gone: over a cluster in memory, and nobody waits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from chaos_fakes import FakeCluster
from chaos_objects import NAMESPACE, virtual_service

from runner.chaos import virtualservice as vs_
from runner.chaos.aftermath import GONE, QUIET_PAUSES_S, Aftermath
from runner.chaos.annotation import Tag
from runner.chaos.client import ApiRefusalError
from runner.chaos.objects import Kind, Object
from runner.errors import RecordingError
from runner.journal import Journal
from runner.model.recording import Event, Manifest, RunState, unhealed
from runner.store import RunDir, Store
from runner.testing import EPOCH_S, FakeClock

ABORT = "01-abort"
PAYMENT = "virtualservice/payment-api in ecommerce"


@dataclass
class Away(FakeCluster):
    """A cluster whose API server does not answer before a time of ``clock``."""

    clock: FakeClock = field(default_factory=FakeClock)
    back_at_s: float = 0.0

    def items(self, kind: Kind, namespace: str | None, selector: str = "") -> list[Object]:
        if self.clock.now_s < self.back_at_s:
            self.refuse = {"items": [0]}
        return super().items(kind, namespace, selector)


@dataclass
class Wreck:
    """A run whose runner is gone, with one fault in place and one on record."""

    cluster: FakeCluster
    run: RunDir
    clock: FakeClock

    def aftermath(self, **more: object) -> Aftermath:
        return Aftermath(
            self.cluster,
            NAMESPACE,
            self.run,
            clock=self.clock,
            heal_s=0.05,
            **more,  # type: ignore[arg-type]
        )

    def of_guardian(self) -> list[Event]:
        return [event for event in self.run.read_events() if event.source == "guardian"]


def disturbed(run: str, fault: str = ABORT) -> Object:
    tag = Tag(run, fault, "o", "2999-01-01T00:00:00Z", "payment-api", vs_.abort_block(503, 50))
    return vs_.add_fault(virtual_service(), tag)


@pytest.fixture
def wrecked(tmp_path: Path) -> Callable[..., Wreck]:
    def make(state: RunState = "running", back_at_s: float = 0.0, *, faulty: bool = True) -> Wreck:
        clock = FakeClock()
        run = Store(tmp_path).create_run("x", EPOCH_S)
        manifest = Manifest(
            run_id=run.run_id,
            experiment="x",
            experiment_sha256="0" * 64,
            state=state,
            created_at="2026-01-01T00:00:00Z",
        )
        run.write_manifest(manifest)
        Journal(run, clock).write(ABORT, "inject", "begin")
        cluster = Away(clock=clock, back_at_s=back_at_s)
        cluster.put(disturbed(run.run_id) if faulty else virtual_service())
        return Wreck(cluster, run, clock)

    return make


def test_a_fault_is_healed_at_once_and_looked_for_for_ten_seconds(
    wrecked: Callable[..., Wreck],
) -> None:
    """Goal: healed, on record, sealed. Method: the object, the journal, the manifest, the clock."""
    wreck = wrecked()
    assert wreck.aftermath().make_whole()
    assert wreck.cluster.spec("payment-api") == virtual_service()
    begin, healed = wreck.of_guardian()
    assert (begin.action, begin.kind, begin.detail) == ("heal", "begin", "its runner was killed")
    assert (healed.action, healed.kind) == ("heal", "ok")
    assert healed.detail == f"its runner was killed; {PAYMENT}; after 0.2 s"
    last = wreck.run.read_events()[-1]
    assert (last.source, last.action, last.kind) == (ABORT, "heal", "ok")
    assert last.detail == "by the guardian, 0.2 s after its runner was killed"
    assert unhealed(wreck.run.read_events()) == frozenset()
    manifest = wreck.run.read_manifest()
    assert (manifest.state, manifest.reason) == (
        "failed",
        "its runner was killed; the guardian healed 01-abort in 0.2 s",
    )
    assert wreck.clock.now_s == pytest.approx(sum(QUIET_PAUSES_S) + 5 * 0.25)


def test_an_orphan_that_injects_late_is_healed_again(wrecked: Callable[..., Wreck]) -> None:
    """Goal: a request that was under way is no escape. Method: the fault comes back after 2 s."""
    wreck = wrecked()
    again = [True]

    class Late(FakeClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            if self.now_s > 2 and again:
                again.clear()
                wreck.cluster.put(disturbed(wreck.run.run_id, "02-late"))

    wreck.clock = Late()
    assert wreck.aftermath().make_whole()
    assert wreck.cluster.spec("payment-api") == virtual_service()
    _, first, second = wreck.of_guardian()
    assert first.detail.startswith("its runner was killed; virtualservice/")
    assert second.detail.startswith(f"again: its runner was killed; {PAYMENT}; after 2.")
    assert wreck.clock.now_s > 2 + sum(QUIET_PAUSES_S)


def test_an_api_server_that_is_away_is_waited_for(wrecked: Callable[..., Wreck]) -> None:
    wreck = wrecked(back_at_s=60.0)
    assert wreck.aftermath().make_whole()
    assert wreck.cluster.spec("payment-api") == virtual_service()
    assert unhealed(wreck.run.read_events()) == frozenset()
    assert "the guardian healed 01-abort in 6" in wreck.run.read_manifest().reason


def test_a_login_that_ran_out_is_renewed(wrecked: Callable[..., Wreck]) -> None:
    """Goal: an old token is no excuse. Method: 401, until somebody logs in anew."""
    wreck = wrecked()
    old = FakeCluster(objects=wreck.cluster.objects, refuse={"items": [401] * 1000})
    fresh, wreck.cluster = wreck.cluster, old
    assert wreck.aftermath(reconnect=lambda: fresh).make_whole()
    assert fresh.spec("payment-api") == virtual_service()
    assert "after 0.8 s" in wreck.of_guardian()[-1].detail


def test_a_mistake_in_a_heal_ends_no_guardian(wrecked: Callable[..., Wreck]) -> None:
    """Goal: it tries again, whatever it was. Method: a cluster that answers nonsense once."""
    wreck = wrecked()

    class Odd(FakeCluster):
        def items(self, kind: Kind, namespace: str | None, selector: str = "") -> list[Object]:
            found = super().items(kind, namespace, selector)
            return ["nonsense"] if len(self.calls) == 1 else found  # type: ignore[list-item]

    wreck.cluster = Odd(objects=wreck.cluster.objects)
    assert wreck.aftermath().make_whole()
    assert wreck.cluster.spec("payment-api") == virtual_service()
    assert "after 0.8 s" in wreck.of_guardian()[-1].detail  # The second try.


def test_what_cannot_be_healed_is_said_with_the_command(wrecked: Callable[..., Wreck]) -> None:
    """Goal: bounded, and never silent. Method: an API server that never comes back."""
    wreck = wrecked(back_at_s=1e9)
    assert not wreck.aftermath().make_whole()
    assert 600 < wreck.clock.now_s < 700
    *_, last = wreck.of_guardian()
    assert last.kind == "failed"
    assert last.detail.startswith("LEFT BROKEN for 6")
    assert last.detail.endswith(f"to finish the work: seatrial heal {wreck.run.run_id}")
    assert unhealed(wreck.run.read_events()) == {ABORT}
    assert last.detail in wreck.run.read_manifest().reason


def test_what_comes_back_for_ever_is_left_broken_again(wrecked: Callable[..., Wreck]) -> None:
    """Goal: a heal that did not last is taken back from the record. Method: somebody injects
    again and again."""
    wreck = wrecked()

    class Stubborn(FakeClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            wreck.cluster.put(disturbed(wreck.run.run_id))

    wreck.clock = Stubborn()
    assert not wreck.aftermath(give_up_s=30.0).make_whole()
    assert unhealed(wreck.run.read_events()) == {ABORT}


def test_a_sandbox_that_is_gone_takes_its_faults_along(wrecked: Callable[..., Wreck]) -> None:
    """Goal: no false alarm. Method: its API server does not answer, and it is known to be gone."""
    wreck = wrecked(back_at_s=1e9)
    assert wreck.aftermath(is_gone=lambda: True).make_whole()
    assert wreck.clock.now_s < 5
    assert GONE in wreck.of_guardian()[-1].detail
    assert wreck.run.read_manifest().reason == f"its runner was killed; {GONE}"
    assert unhealed(wreck.run.read_events()) == frozenset()


def test_what_was_removed_before_a_trouble_was_over_is_on_record(
    wrecked: Callable[..., Wreck],
) -> None:
    """Goal: no record says less than was done. Method: one object is healed at once, another only
    at the second try."""
    wreck = wrecked()
    tag = Tag(
        *(wreck.run.run_id, "02-b", "o", "2999-01-01T00:00:00Z", "order-api"),
        vs_.abort_block(503, 50),
    )
    wreck.cluster.put(vs_.add_fault(virtual_service("order-api"), tag))

    class Stuck(FakeCluster):
        troubled = True

        def replace(self, kind: Kind, obj: Object) -> Object:
            if Stuck.troubled and obj["metadata"]["name"] == "order-api":
                raise ApiRefusalError("put order-api", 403, "not now")
            return super().replace(kind, obj)

    wreck.cluster = Stuck(objects=wreck.cluster.objects)

    def log_in() -> FakeCluster:
        Stuck.troubled = False
        return wreck.cluster

    assert wreck.aftermath(reconnect=log_in).make_whole()
    *_, healed = wreck.of_guardian()
    assert PAYMENT in healed.detail
    assert "virtualservice/order-api in ecommerce" in healed.detail


def test_nothing_to_heal_is_said_so(wrecked: Callable[..., Wreck]) -> None:
    wreck = wrecked(faulty=False)
    assert wreck.aftermath().make_whole()
    assert "; nothing was in place; " in wreck.of_guardian()[-1].detail
    assert unhealed(wreck.run.read_events()) == frozenset()


def test_what_a_runner_that_lives_has_left_is_healed_and_its_manifest_stays(
    wrecked: Callable[..., Wreck],
) -> None:
    """Goal: only one writes the last word. Method: the runner said that something is left."""
    wreck = wrecked()
    before = wreck.run.read_manifest()
    assert wreck.aftermath(killed=False).make_whole()
    assert wreck.of_guardian()[-1].detail.startswith(f"its runner could not heal; {PAYMENT}")
    assert wreck.run.read_manifest() == before


def test_a_manifest_that_is_sealed_stays(wrecked: Callable[..., Wreck]) -> None:
    wreck = wrecked(state="aborted")
    assert wreck.aftermath().make_whole()
    assert wreck.run.read_manifest().state == "aborted"


def test_a_folder_that_cannot_be_written_keeps_nobody_from_healing(
    wrecked: Callable[..., Wreck],
) -> None:
    """Goal: to heal matters more than to tell. Method: a folder that refuses every write."""

    class Full(RunDir):
        def append_event(self, event: Event) -> None:
            raise RecordingError("no space left")

        def write_manifest(self, manifest: Manifest) -> None:
            raise RecordingError("no space left")

    wreck = wrecked()
    wreck.run = Full(wreck.run.path)
    assert wreck.aftermath().make_whole()
    assert wreck.cluster.spec("payment-api") == virtual_service()
