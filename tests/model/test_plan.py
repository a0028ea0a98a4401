"""The plan: phases that tile, users that follow the stages, and impossible wishes refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.model.experiment import Experiment
from runner.model.feasibility import mistakes_in
from runner.model.plan import Plan, make_plan, scaled


def experiment(**changes: object) -> Experiment:
    base: dict[str, object] = {
        "name": "x",
        "description": "d",
        "load": {
            "locustfile": "shop.py",
            "stages": [
                {"duration": "2m", "users": 100, "spawn_rate": 10},
                {"duration": "8m", "users": 100},
                {"duration": "1m", "users": 0, "spawn_rate": 5},
            ],
        },
        "warmup": "1m",
        "faults": [
            {"kind": "pod-kill", "service": "a", "at": "3m", "duration": "1m"},
            {"kind": "http-abort", "service": "b", "at": "6m", "duration": "2m", "status": 503},
        ],
        "objectives": ["errors < 1%"],
    }
    return Experiment.model_validate({**base, **changes})


def shape(plan: Plan) -> list[tuple[str, float, float, tuple[str, ...]]]:
    return [(p.name, p.start_s, p.end_s, p.faults) for p in plan.phases]


def test_phases_are_cut_at_the_warmup_and_at_every_edge_of_a_fault() -> None:
    assert shape(make_plan(experiment())) == [
        ("warmup", 0, 60, ()),
        ("baseline", 60, 180, ()),
        ("fault", 180, 240, ("01-pod-kill",)),
        ("recovery", 240, 360, ()),
        ("fault", 360, 480, ("02-http-abort",)),
        ("recovery", 480, 660, ()),
    ]


fault_times = st.lists(
    st.tuples(st.integers(61, 600), st.integers(1, 60)).map(
        lambda t: (t[0], min(t[1], 660 - t[0]))
    ),
    max_size=5,
)


@given(fault_times)
def test_phases_tile_the_run_and_say_which_faults_are_active(times: list[tuple[int, int]]) -> None:
    """Goal: no gap, no overlap. Method: any faults, overlapping or not; compare every midpoint."""
    faults = [
        {"kind": "pod-kill", "service": "a", "at": f"{at}s", "duration": f"{length}s"}
        for at, length in times
    ]
    plan = make_plan(experiment(faults=faults))
    assert plan.phases[0].start_s == 0
    assert plan.phases[-1].end_s == plan.duration_s
    for before, after in zip(plan.phases, plan.phases[1:], strict=False):
        assert before.end_s == after.start_s
    for phase in plan.phases:
        middle = (phase.start_s + phase.end_s) / 2
        active = {f.id for f in plan.faults if f.start_s <= middle < f.end_s}
        assert set(phase.faults) == active
        assert (phase.name == "fault") == bool(active)
        assert plan.phase_at(middle) == phase


def test_users_follow_ramps_and_plateaus() -> None:
    plan = make_plan(experiment())
    at = (0, 5, 10, 119, 300, 600, 610, 620, 659.9, 660)
    assert [plan.users_at(s) for s in at] == [0, 50, 100, 100, 100, 100, 50, 0, 0, 0]


def test_a_stage_without_a_spawn_rate_is_reached_within_a_second() -> None:
    stages = [{"duration": "10s", "users": 40}]
    plan = make_plan(experiment(load={"locustfile": "x", "stages": stages}, warmup="0s", faults=[]))
    assert [plan.users_at(s) for s in (0, 0.5, 1, 9)] == [0, 20, 40, 40]


def test_a_rehearsal_keeps_the_shape() -> None:
    """Goal: --time-scale. Method: every offset is a tenth, the ramp reaches the same users."""
    full, short = make_plan(experiment()), make_plan(experiment(), time_scale=0.1)
    assert short.rehearsal
    assert not full.rehearsal
    tenth = [(n, a / 10, b / 10, f) for n, a, b, f in shape(full)]
    assert [s[1:3] for s in shape(short)] == [pytest.approx(t[1:3]) for t in tenth]
    for second in (3, 50, 300, 605):
        assert short.users_at(second / 10) == pytest.approx(full.users_at(second))


def test_the_noise_of_floats_makes_no_phase() -> None:
    """Goal: phases as written. Method: a fault that begins where another ends, at odd scales."""
    faults = [
        {"kind": "pod-kill", "service": "a", "at": "100s", "duration": "110s"},
        {"kind": "pod-kill", "service": "b", "at": "210s", "duration": "100s"},
    ]
    names = ["warmup", "baseline", "fault", "fault", "recovery"]
    for thousandths in range(1, 1000):
        plan = make_plan(experiment(faults=faults), time_scale=thousandths / 1000)
        assert [phase.name for phase in plan.phases] == names
        assert plan.phases[-1].end_s == plan.duration_s == plan.stages[-1].end_s


def test_a_short_stage_without_a_spawn_rate_reaches_its_users() -> None:
    """Goal: no jump at a stage's end. Method: a stage of half a second, then one that holds."""
    stages = [{"duration": "500ms", "users": 40}, {"duration": "10s", "users": 40}]
    plan = make_plan(experiment(load={"locustfile": "x", "stages": stages}, warmup="0s", faults=[]))
    assert [plan.users_at(s) for s in (0, 0.25, 0.4999, 0.5)] == pytest.approx(
        [0, 20, 40, 40], abs=0.1
    )


def test_a_plan_survives_its_file() -> None:
    plan = make_plan(experiment(), time_scale=0.3)
    again = Plan.model_validate_json(plan.model_dump_json(by_alias=True))
    assert shape(again) == shape(plan)
    assert again.experiment.objectives == plan.experiment.objectives


@pytest.mark.parametrize(
    ("changes", "loc", "said"),
    [
        ({"warmup": "11m", "faults": []}, ("warmup",), "leaves nothing"),
        (
            {"faults": [{"kind": "pod-kill", "service": "a", "at": "10m30s", "duration": "1m"}]},
            ("faults", 0, "at"),
            "but the load ends at 660s",
        ),
        (
            {"faults": [{"kind": "pod-kill", "service": "a", "at": "30s"}]},
            ("faults", 0, "at"),
            "in the warmup",
        ),
        (
            {"faults": [{"kind": "pod-kill", "service": "a", "at": "1m"}]},
            ("faults", 0, "at"),
            "no baseline",
        ),
        (
            {"faults": [], "objectives": ["recovery < 3s"]},
            ("objectives", 0),
            "this experiment has no fault, and no load that doubles and comes back",
        ),
        (
            {"objectives": ["errors < 1%", {"objective": "recovery < 3s", "source": "mesh"}]},
            ("objectives", 1, "source"),
            "second by second, as the load sees it",
        ),
        ({"objectives": ["budget < 5%"]}, ("objectives", 0), "accepted: beside the objectives"),
        ({"objectives": ["burn-rate < 14.4"]}, ("objectives", 0), "'budget: {slo: 99.9%}'"),
        (
            {"objectives": ["recovery < 3s", {"objective": "errors < 1%", "during": "fault"}]},
            ("objectives", 0),
            "needs to know what well means",
        ),
        (
            {"faults": [], "objectives": [{"objective": "errors < 1%", "during": "fault"}]},
            ("objectives", 0, "during"),
            "there is no fault phase",
        ),
    ],
)
def test_impossible_wishes_are_named_at_their_place(
    changes: dict[str, object], loc: tuple[object, ...], said: str
) -> None:
    (mistake,) = mistakes_in(experiment(**changes))
    assert mistake.loc == loc
    assert said in mistake.message


def test_a_possible_experiment_has_no_mistakes() -> None:
    assert mistakes_in(experiment()) == ()


def test_all_phases_are_those_that_there_are() -> None:
    """Goal: 'during: all' fits every experiment. Method: one without faults."""
    everywhere = [{"objective": "errors < 1%", "during": "all"}]
    assert mistakes_in(experiment(faults=[], objectives=everywhere)) == ()


def test_a_short_phase_is_a_mistake_only_where_it_is_judged() -> None:
    """Goal: what cannot be judged is said before. Method: half a second of recovery at the end."""
    fault = {"kind": "pod-kill", "service": "a", "at": "10m", "duration": "59500ms"}
    elsewhere = [{"objective": "errors < 1%", "during": ["baseline", "fault"]}]
    assert mistakes_in(experiment(faults=[fault], objectives=elsewhere)) == ()
    (mistake,) = mistakes_in(experiment(faults=[fault]))
    assert mistake.loc == ("faults", 0, "duration")
    assert "recovery phase, from 659.5s to 660s, is too short" in mistake.message


def test_a_scaled_experiment_is_as_possible_as_the_whole_one() -> None:
    """Goal: floats make no mistakes. Method: a fault up to the very end, at every hundredth."""
    fault = {"kind": "pod-kill", "service": "a", "at": "9m", "duration": "2m"}
    asked = experiment(faults=[fault], warmup="30s")
    for hundredths in range(10, 100):
        assert mistakes_in(scaled(asked, hundredths / 100)) == ()


@pytest.mark.parametrize(
    ("levels", "possible"),
    [
        ([50, 500, 50], True),
        ([50, 100, 60], True),  # twice as much, and back to a fifth above
        ([50, 99, 50], False),
        ([50, 500, 61], False),
        ([500, 50, 500], False),
        ([0, 500, 0], False),  # nothing to come back to
    ],
)
def test_a_spike_is_something_to_recover_from(levels: list[int], possible: bool) -> None:
    stages = [{"duration": "2m", "users": users} for users in levels]
    asked = experiment(
        faults=[],
        load={"locustfile": "shop.py", "stages": stages},
        objectives=["errors < 1%", "recovery < 30s"],
    )
    assert (mistakes_in(asked) == ()) is possible


def test_a_recovery_may_say_itself_what_must_hold_again() -> None:
    own = {"objective": "recovery < 3s", "until": ["errors < 1%"]}
    assert mistakes_in(experiment(objectives=[own])) == ()


def test_with_a_budget_there_is_a_share_of_it() -> None:
    asked = experiment(objectives=["budget < 5%", "burn-rate < 1"], budget={"slo": "99.9%"})
    assert mistakes_in(asked) == ()
