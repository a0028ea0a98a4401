"""The rig that counts what a killed run leaves: it sees what is left, and its bound is right."""

from __future__ import annotations

from typing import Any

import pytest
from chaos_objects import pod, virtual_service
from survival_draw import moment, trials_of
from survival_figures import quantile, row, rows_by, table, upper_bound
from survival_kills import KILLS
from survival_state import State, canonical, differences
from survival_trial import FAULTS, Outcome, Trial, times_of


@pytest.mark.parametrize(
    ("left", "trials", "bound"),
    # The first two by the closed form 1 - 0.05^(1/n).
    [(0, 300, 0.009936), (0, 20, 0.139108), (1, 20, 0.216106), (2, 300, 0.020852), (3, 3, 1.0)],
)
def test_the_bound_is_clopper_and_pearsons(left: int, trials: int, bound: float) -> None:
    assert upper_bound(left, trials) == pytest.approx(bound, abs=2e-5)


def seen(*objects: dict[str, Any], pods: tuple[dict[str, Any], ...] = (), ready: int = 2) -> State:
    names = {f"virtualservice/{o['metadata']['name']}": canonical(o) for o in objects}
    living = {p["metadata"]["uid"]: (p["metadata"]["name"], canonical(p)) for p in pods}
    return State(names, living, {"order-api": ready})


def test_what_the_server_counts_is_no_difference() -> None:
    before = virtual_service(resourceVersion="1", generation=1)
    after = {**virtual_service(resourceVersion="9", generation=4), "status": {"seen": True}}
    assert differences(seen(before), seen(after)) == []


def test_each_thing_that_is_left_is_said() -> None:
    """Goal: nothing slips through. Method: objects changed, made, gone; pods marked, missing."""
    changed = virtual_service(annotations={"seatrial.dev/faults": "{}"})
    old, new = pod("order-api-a"), pod("order-api-b")
    before = seen(virtual_service(), virtual_service("gone"), pods=(old,))
    old = {**old, "metadata": {**old["metadata"], "labels": {"app": "other"}}}
    new["metadata"]["labels"]["seatrial.dev/hit-1"] = "true"
    said = differences(before, seen(changed, virtual_service("new"), pods=(old, new), ready=1))
    assert [text.partition(":")[0] for text in said] == [
        "virtualservice/gone is gone",
        "virtualservice/new is new",
        "virtualservice/payment-api",
        "order-api has 1 ready pods, and had 2",
        "pod/order-api-a",
        "pod/order-api-b bears a mark",
    ]
    assert ".metadata.annotations.seatrial.dev/faults was None, is '{}'" in said[2]


def outcome(number: int, **more: Any) -> Outcome:
    return Outcome(Trial(number, "runner", "client-abort", 5.0), objects=40, **more)


def test_a_row_counts_what_counts() -> None:
    """Goal: a trial that proves nothing is not counted as a success. Method: five outcomes."""
    trials = [
        outcome(1, in_place=True, clean_s=0.5),
        outcome(2, in_place=True, clean_s=10.0, residual=["virtualservice/x: left"]),
        outcome(3, files=["seatrial-private-x"]),
        outcome(4, unhealed=["01-http-abort"]),
        outcome(5, trouble="nobody was there to strike"),
    ]
    line = row("all", trials)
    counted = (line.trials, line.in_place, line.residual, line.orphans, line.objects)
    assert counted == (4, 2, 1, 1, 160)
    assert line.clean_s == (0.5, 10.0, 10.0)
    assert [each.harmless for each in trials] == [True, False, False, False, False]
    assert rows_by(lambda each: each.trial.kill, trials)[0].bound == upper_bound(1, 4)
    assert "| all | 4 | 2 | 1 | 75.14% | 1 | 0.5 / 10.0 / 10.0 | 160 |" in table([line])
    assert quantile([], 0.5) == 0.0


def test_every_kill_meets_every_fault_and_a_seed_repeats_all() -> None:
    count = len(KILLS) * len(FAULTS)
    trials = trials_of(count, 1, list(KILLS), list(FAULTS))
    assert len({(trial.kill, trial.faults) for trial in trials}) == count
    assert trials == trials_of(count, 1, list(KILLS), list(FAULTS))
    assert trials != trials_of(count, 2, list(KILLS), list(FAULTS))


def test_a_child_is_struck_while_there_is_one() -> None:
    import random

    draw = random.Random(3)  # noqa: S311 - not for secrets
    faults = FAULTS["overlap-later"]
    start_s, end_s = times_of(faults[0])[0], times_of(faults[1])[1]
    moments = [moment(draw, "child", faults) for _ in range(300)]
    assert min(moments) >= start_s - 0.5
    assert max(moments) <= end_s + 0.3
    assert any(at_s < 0 for at_s in (moment(draw, "runner", faults) for _ in range(100)))
