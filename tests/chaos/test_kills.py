"""Kills in a series: what is killed when, what is left out, and what is on record."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from chaos_fakes import FakeCluster
from chaos_objects import Object, pod
from chaoslib.exceptions import ActivityFailed

from runner.chaos import actions
from runner.chaos.activities.shared import standing_in
from runner.chaos.client import ApiRefusalError
from runner.chaos.kills import LATEST_S, MOST_TOLD, Killer, Series, Wish
from runner.chaos.objects import BUDGETS, PODS, Kind
from runner.errors import FaultError, TargetError
from runner.model.killtimes import kill_seed


@dataclass
class Shop(FakeCluster):
    """Pods with a controller: what is killed is replaced, and ready after ``return_s``.

    Attributes:
        clock_s: The time; it goes on when somebody pauses.
        return_s: Seconds until a new pod is ready.
        away: Spans of time in which the API server does not answer.
        hang_s: For how long a request hangs then.
        times: When a pod was killed.
    """

    clock_s: float = 1000.0
    return_s: float = 3.0
    away: tuple[tuple[float, float], ...] = ()
    hang_s: float = 0.0
    times: list[float] = field(default_factory=list)
    coming: list[tuple[float, str]] = field(default_factory=list)
    born: int = 0

    def items(self, kind: Kind, namespace: str | None, selector: str = "") -> list[Object]:
        self._there()
        for due_s, name in self.coming:
            if due_s <= self.clock_s:
                self.put(pod(name), kind=PODS)
        self.coming = [entry for entry in self.coming if entry[0] > self.clock_s]
        return super().items(kind, namespace, selector)

    def delete(self, kind: Kind, body: Object, grace_s: float | None = None) -> None:
        self._there()
        super().delete(kind, body, grace_s)
        self.born += 1
        self.times.append(self.clock_s)
        name = f"new-{self.born}"
        self.put(pod(name, ready=False), kind=PODS)
        self.coming.append((self.clock_s + self.return_s, name))

    def _there(self) -> None:
        if any(start_s <= self.clock_s < end_s for start_s, end_s in self.away):
            self.clock_s += self.hang_s
            raise ApiRefusalError("list pods", 0, "no answer")

    def now(self) -> float:
        return self.clock_s

    def pause(self, seconds: float) -> None:
        self.clock_s += seconds


def shop(*names: str, **more: Any) -> Shop:
    made = Shop(**more)
    made.put(*(pod(name) for name in names or ("a", "b", "c")), kind=PODS)
    return made


def killer(cluster: Shop, tmp_path: Path, **wish: Any) -> Killer:
    wanted = {"selector": "app=order-api", **wish}
    return Killer(
        cluster,
        Wish("ecommerce", effects=str(tmp_path / "effects.jsonl"), **wanted),
        patience_s=0.0,
        now=cluster.now,
        pause=cluster.pause,
    )


def run(cluster: Shop, tmp_path: Path, *moments: float, **options: Any) -> dict[str, Any]:
    """A series at these seconds from now, watched for 30 s after the last."""
    again = {"while_recovering": options.pop("while_recovering", False)}
    series = Series(killer(cluster, tmp_path, **options), seed=7, **again)
    due = [cluster.clock_s + moment for moment in moments]
    return series.run(due, due[-1] + 30)


def effects(tmp_path: Path) -> list[tuple[str, str, str]]:
    lines = (tmp_path / "effects.jsonl").read_text().splitlines()
    return [(e["what"], e["subject"], e["detail"]) for e in map(json.loads, lines)]


def whats(tmp_path: Path) -> list[str]:
    return [what for what, _, _ in effects(tmp_path)]


def test_each_kill_comes_at_its_moment_and_is_followed_until_all_are_back(tmp_path: Path) -> None:
    """Goal: repeats with evidence for each. Method: three kills, pods that return in 3 s."""
    cluster = shop()
    done = run(cluster, tmp_path, 0.0, 10.0, 19.5)
    assert cluster.times == pytest.approx([1000.0, 1010.0, 1019.5])
    assert (done["kills"], done["skipped"]) == (3, [])
    assert done["recovered_after_s"] == pytest.approx(3.0, abs=0.3)
    assert whats(tmp_path) == ["killed", "replaced", "ready"] * 3
    first = done["killed"][0]["name"]
    _, subject, detail = effects(tmp_path)[0]
    assert subject == f"pod/{first}"
    assert detail == (
        f"uid uid-{first}, node node-a, grace 0 s; kill 1 of 3, drawn with seed 7 from a, b, c"
    )
    assert f"seed {kill_seed(7, 1)} from" in effects(tmp_path)[3][2]
    ready = [entry for entry in effects(tmp_path) if entry[0] == "ready"]
    assert ready[1][1] == f"pods/{done['killed'][1]['name']}"
    assert ready[1][2].startswith("3 of 3 ready, 3.")
    assert ready[1][2].endswith("after kill 2 of 3")


def test_kill_is_left_out_while_the_pods_of_the_last_one_are_not_back(tmp_path: Path) -> None:
    """Goal: no kill on top of a kill. Method: pods that need longer than the interval."""
    cluster = shop(return_s=12.0)
    done = run(cluster, tmp_path, 0.0, 5.0, 20.0)
    assert cluster.times == pytest.approx([1000.0, 1020.0])
    reason = "kill 2 of 3: the pods of kill 1 of 3 were not seen to be back"
    assert done["skipped"] == [reason]
    assert ("skipped", "pods/app=order-api", reason) in effects(tmp_path)
    assert whats(tmp_path).count("ready") == 2


def test_kill_while_recovering_waits_for_as_many_as_were_ready_at_first(tmp_path: Path) -> None:
    """Goal: 'ready' means whole again, not as broken as before the last kill. Method: two kills of
    three pods that overlap, and looks at when each is said to be over."""
    cluster = shop(return_s=12.0)
    done = run(cluster, tmp_path, 0.0, 5.0, while_recovering=True)
    assert (done["kills"], done["skipped"]) == (2, [])
    assert whats(tmp_path) == ["killed", "replaced", "killed", "replaced", "ready", "ready"]
    details = [detail for what, _, detail in effects(tmp_path) if what == "ready"]
    assert details[0].startswith("3 of 3 ready, 17.")
    assert details[1].startswith("3 of 3 ready, 12.")


def test_bounds_hold_at_each_kill(tmp_path: Path) -> None:
    """Goal: min_healthy is asked every time. Method: kills that overlap, two pods to stay."""
    cluster = shop(return_s=12.0)
    done = run(cluster, tmp_path, 0.0, 5.0, while_recovering=True, min_healthy=2)
    assert cluster.times == [1000.0]
    assert "2 ready pods have app=order-api; killing 1" in done["skipped"][0]


def test_budget_is_asked_at_each_kill(tmp_path: Path) -> None:
    """Goal: a PodDisruptionBudget that allows nothing any more. Method: it comes after the first
    kill."""
    cluster = shop()
    series = Series(killer(cluster, tmp_path), seed=1, while_recovering=False)
    budget = {
        "metadata": {"name": "pdb"},
        "spec": {"selector": {"matchLabels": {"app": "order-api"}}},
        "status": {"disruptionsAllowed": 0},
    }

    def pause(seconds: float) -> None:
        cluster.clock_s += seconds
        cluster.put(budget, kind=BUDGETS)

    series._killer.pause = pause
    done = series.run([1000.0, 1010.0], 1020.0)
    assert done["kills"] == 1
    assert "poddisruptionbudget/pdb allows 0 pods to go, not 1" in done["skipped"][0]


@pytest.mark.parametrize(
    ("count", "killed"), [(2, 2), ("one", 1), ("50%", 1), ("67%", 2), ("1%", 1), ("all", 3)]
)
def test_count_is_a_number_a_share_or_all(tmp_path: Path, count: Any, killed: int) -> None:
    """Goal: the documented rounding, down and at least one. Method: three ready pods."""
    cluster = shop()
    run(cluster, tmp_path, 0.0, count=count, min_healthy=0)
    assert len(cluster.deleted) == killed
    assert {entry[1] for entry in cluster.deleted} <= {"uid-a", "uid-b", "uid-c"}


@pytest.mark.parametrize("count", ["0%", "many", "150%", "-1"])
def test_count_that_is_none_is_refused(tmp_path: Path, count: str) -> None:
    """Goal: nothing is guessed. Method: what only somebody else's experiment can hold."""
    cluster = shop()
    with pytest.raises(FaultError, match="is no number of pods"):
        run(cluster, tmp_path, 0.0, count=count)
    assert cluster.deleted == []


def test_first_kill_that_may_not_happen_is_a_failure(tmp_path: Path) -> None:
    """Goal: a fault that never was is no fault. Method: one pod, one to stay."""
    cluster = shop("a")
    with pytest.raises(FaultError, match="would not leave 1"):
        run(cluster, tmp_path, 0.0, 10.0)
    assert whats(tmp_path) == ["skipped"]
    assert effects(tmp_path)[0][2].startswith("kill 1 of 2: 1 ready pods")


def test_api_server_that_is_away_costs_kills_and_not_the_series(tmp_path: Path) -> None:
    """Goal: hours with an outage of minutes. Method: it does not answer at four of six kills."""
    cluster = shop(away=((1055.0, 1245.0),))
    done = run(cluster, tmp_path, *(60.0 * n for n in range(6)))
    assert cluster.times == pytest.approx([1000.0, 1300.0])
    expected = [f"kill {n} of 6" for n in (2, 3, 4, 5)]
    assert [reason.partition(":")[0] for reason in done["skipped"]] == expected
    assert all("no answer" in reason for reason in done["skipped"])
    assert whats(tmp_path)[-1] == "ready"


def test_kill_whose_time_has_passed_is_not_made_up_for(tmp_path: Path) -> None:
    """Goal: no burst of kills after a machine slept. Method: the clock jumps over two moments."""
    cluster = shop()
    made = killer(cluster, tmp_path)

    def pause(seconds: float) -> None:
        cluster.clock_s += 100.0 if cluster.clock_s < 1100 else seconds

    made.pause = made.watch._pause = pause
    done = Series(made, 1, while_recovering=True).run([1000.0, 1010.0, 1020.0, 1130.0], 1140.0)
    assert cluster.times == pytest.approx([1000.0, 1130.0], abs=0.3)
    assert len(done["skipped"]) == 2
    assert all(" s late" in reason for reason in done["skipped"])
    assert LATEST_S < 70


def test_of_several_kills_that_are_due_only_the_last_one_happens(tmp_path: Path) -> None:
    """Goal: no burst of kills after a short outage. Method: kills every 2 s, and requests that hang
    for 3 s each, for 5 s."""
    cluster = shop(away=((1001.0, 1006.5),), hang_s=3.0, return_s=0.0)
    made = killer(cluster, tmp_path)
    done = Series(made, 1, while_recovering=True).run([1000.0 + 2 * n for n in range(6)], 1012.0)
    apart = [b - a for a, b in pairwise(cluster.times)]
    assert min(apart) > 0.5
    assert done["kills"] + len(done["skipped"]) == 6
    assert cluster.times == pytest.approx([1000.0, 1008.0, 1010.0])
    assert "late" in done["skipped"][-1]


def test_those_who_were_killed_are_on_record_when_the_next_one_cannot_be(tmp_path: Path) -> None:
    """Goal: no name is lost. Method: the second of two deletions is refused for good."""
    cluster = shop(refuse={"delete": [200, 403]})
    done = run(cluster, tmp_path, 0.0, count=2, min_healthy=0)
    assert whats(tmp_path) == ["killed", "skipped", "replaced", "ready"]
    assert [one["name"] for one in done["killed"]] == [cluster.deleted[0][0]]
    assert "HTTP 403" in effects(tmp_path)[1][2]


def test_pod_that_somebody_else_replaced_is_no_kill_of_ours(tmp_path: Path) -> None:
    """Goal: the UID decides. Method: a rival replaces the pod just before the deletion."""
    cluster = shop("a")

    def rival(fake: FakeCluster) -> None:
        fake.put(pod("a", uid="other"), kind=PODS)

    cluster.meanwhile = rival
    with pytest.raises(FaultError, match="pod/a was replaced by somebody else"):
        run(cluster, tmp_path, 0.0, min_healthy=0)
    assert "killed" not in whats(tmp_path)
    assert cluster.times == []


def test_lost_answer_of_a_kill_that_took_is_a_kill(tmp_path: Path) -> None:
    """Goal: nobody dies unrecorded. Method: the answer to the deletion is lost, then it is gone."""
    cluster = shop("a", "b")
    made = killer(cluster, tmp_path)
    made._patience_s = 5.0
    deletions = []

    class Lossy(type(cluster)):  # type: ignore[misc]
        def delete(self, kind: Kind, body: Object, grace_s: float | None = None) -> None:
            super().delete(kind, body, grace_s)
            deletions.append(body["metadata"]["name"])
            raise ApiRefusalError("delete", 0, "no answer")

    cluster.__class__ = Lossy
    done = made.kill(1, "the kill")
    assert [victim.name for victim in done.victims] == deletions
    assert "an answer was lost" in effects(tmp_path)[0][2]


def test_pod_that_is_gone_after_a_refusal_was_not_killed_by_us(tmp_path: Path) -> None:
    """Goal: the record is true. Method: too many requests, which is an answer; then it is gone."""
    cluster = shop("a", "b", refuse={"delete": [429, 404]})
    made = killer(cluster, tmp_path)
    made._patience_s = 5.0
    with pytest.raises(FaultError, match="replaced by somebody else"):
        made.kill(1, "the kill")
    assert cluster.times == []


def test_deletion_that_is_never_answered_is_a_failure(tmp_path: Path) -> None:
    """Goal: every wait has a bound. Method: no answer, ever."""
    cluster = shop("a", "b", refuse={"delete": [0] * 1000})
    made = killer(cluster, tmp_path)
    made._patience_s = 5.0
    with pytest.raises(TargetError, match="no answer"):
        made.kill(1, "the kill")
    assert cluster.clock_s <= 1005.0


def test_result_of_a_long_series_is_bounded(tmp_path: Path) -> None:
    """Goal: bounded memory. Method: more kills, and more kills left out, than are told."""
    cluster = shop(return_s=0.0)
    many = MOST_TOLD + 200
    done = run(cluster, tmp_path, *(float(n) for n in range(many)))
    assert (done["kills"], len(done["killed"])) == (many, MOST_TOLD)
    cluster = shop(return_s=float(10 * many))
    done = run(cluster, tmp_path, *(float(n) for n in range(many)))
    assert (done["kills"], len(done["skipped"])) == (1, MOST_TOLD)


# -- the activities ------------------------------------------------------------------------------


def kill_again(cluster: FakeCluster, **more: Any) -> dict[str, Any]:
    with standing_in(cluster):
        done: dict[str, Any] = actions.keep_killing_pods(
            namespace="ecommerce", selector="app=order-api", **more
        )
        return done


def test_series_of_other_people_begins_now(tmp_path: Path) -> None:
    """Goal: usable without a plan. Method: an interval and a length; nobody comes back."""
    cluster = FakeCluster().put(pod("a"), pod("b"), pod("c"), kind=PODS)
    file = str(tmp_path / "effects.jsonl")
    begun_s = time.time()
    done = kill_again(
        cluster, every_s=0.05, duration_s=0.12, effects=file, while_recovering=True, min_healthy=2
    )
    assert time.time() - begun_s >= 0.12
    assert done["kills"] == 1
    assert [reason.partition(":")[0] for reason in done["skipped"]] == [
        "kill 2 of 3",
        "kill 3 of 3",
    ]
    assert whats(tmp_path) == ["killed", "skipped", "skipped"]


def test_series_without_moments_is_refused() -> None:
    """Goal: nothing is guessed. Method: no interval, no length, and a jitter that swaps kills."""
    cluster = FakeCluster()
    for wish in ({}, {"every_s": 1.0}, {"duration_s": 5.0}):
        with pytest.raises(ActivityFailed, match="nobody said when"):
            kill_again(cluster, **wish)
    with pytest.raises(ActivityFailed, match="could swap kills"):
        kill_again(cluster, every_s=1.0, duration_s=5.0, jitter_s=0.5)
    assert cluster.calls == []


def test_single_kill_that_was_not_whole_is_a_failure_after_its_watch(tmp_path: Path) -> None:
    """Goal: no silent success. Method: one of two deletions is refused; the other is watched."""
    cluster = FakeCluster(refuse={"delete": [200, 403]})
    cluster.put(pod("a"), pod("b"), kind=PODS)
    file = str(tmp_path / "effects.jsonl")
    with standing_in(cluster), pytest.raises(ActivityFailed, match="only 1 of 2 pods were killed"):
        actions.kill_pods(
            namespace="ecommerce",
            selector="app=order-api",
            count="all",
            min_healthy=0,
            follow_until_wall_s=time.time(),
            effects=file,
        )
    assert whats(tmp_path) == ["killed", "skipped"]
