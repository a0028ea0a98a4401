"""How fast replicas may change, against numbers worked out by hand from Kubernetes' rules."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.targets.sandbox.scaling_rules import (
    DOWN,
    UP,
    Bounds,
    History,
    Policy,
    Rules,
    bounds_of,
    down_limit,
    forced,
    settle,
    up_limit,
)

NOW_S = 1000.0


def rules(*policies: tuple[str, int, float], select: str = "Max", window_s: float = 0.0) -> Rules:
    return Rules(window_s, select, tuple(Policy(*each) for each in policies))


def test_defaults_are_those_of_kubernetes() -> None:
    """Up at once by four pods or 100 % in 15 s; down by 100 % in 15 s after 300 s."""
    bounds = bounds_of({"maxReplicas": 7})
    assert bounds == Bounds(1, 7, UP, DOWN)
    assert rules(("Pods", 4, 15.0), ("Percent", 100, 15.0)) == UP
    assert rules(("Percent", 100, 15.0), window_s=300.0) == DOWN


def test_what_a_behavior_leaves_open_has_the_defaults() -> None:
    """A window of zero is stated; a missing one is not."""
    stated: dict[str, Any] = {
        "minReplicas": 2,
        "maxReplicas": 9,
        "behavior": {
            "scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]},
            "scaleDown": {"stabilizationWindowSeconds": 0, "selectPolicy": "Min"},
        },
    }
    expected = Bounds(2, 9, rules(("Pods", 1, 60.0)), rules(("Percent", 100, 15.0), select="Min"))
    assert bounds_of(stated) == expected


@pytest.mark.parametrize(
    ("current", "expected"),
    [
        (1, None),
        (5, None),
        (0, (1, "Current number of replicas below Spec.MinReplicas")),
        (6, (5, "Current number of replicas above Spec.MaxReplicas")),
    ],
)
def test_out_of_bounds_is_brought_back(current: int, expected: tuple[int, str] | None) -> None:
    assert forced(current, Bounds(1, 5)) == expected


@pytest.mark.parametrize(
    ("current", "given_rules", "ups", "downs", "expected"),
    [
        # four pods win below four replicas, 100 % above
        (2, UP, [], [], 6),
        (6, UP, [], [], 12),
        # three of the six came 10 s ago: the period began with three, which may have had seven
        (6, UP, [(990.0, 3)], [], 7),
        # what is older than the period does not count; exactly as old neither
        (6, UP, [(984.0, 3)], [], 12),
        (6, UP, [(985.0, 3)], [], 12),
        # two went 5 s ago: the period began with eight
        (6, UP, [], [(995.0, 2)], 16),
        (6, UP._replace(select="Min"), [], [], 10),
        (6, UP._replace(select="Disabled"), [], [], 6),
        # a share is rounded up: 10 % of three is one
        (3, rules(("Percent", 10, 60.0)), [], [], 4),
    ],
)
def test_how_many_there_may_be(
    current: int,
    given_rules: Rules,
    ups: list[tuple[float, int]],
    downs: list[tuple[float, int]],
    expected: int,
) -> None:
    assert up_limit(current, given_rules, History(ups=ups, downs=downs), NOW_S) == expected


@pytest.mark.parametrize(
    ("current", "given_rules", "downs", "expected"),
    [
        (8, DOWN, [], 0),
        # the documentation's example: four pods or 10 % a minute, of eighty: 80 - 8 = 72
        (80, rules(("Pods", 4, 60.0), ("Percent", 10, 60.0)), [], 72),
        (80, rules(("Pods", 4, 60.0), ("Percent", 10, 60.0), select="Min"), [], 76),
        # below forty the pods are the larger step: 37 - 4 = 33
        (37, rules(("Pods", 4, 60.0), ("Percent", 10, 60.0)), [], 33),
        # a share is rounded towards the larger step: 10 % of 37 leaves 33.3
        (37, rules(("Percent", 10, 60.0)), [], 33),
        # two went half a minute ago: the period began with ten, six may stay
        (8, rules(("Pods", 4, 60.0)), [(970.0, 2)], 6),
        (8, rules(("Pods", 4, 60.0), select="Disabled"), [], 8),
    ],
)
def test_how_few_there_may_be(
    current: int, given_rules: Rules, downs: list[tuple[float, int]], expected: int
) -> None:
    assert down_limit(current, given_rules, History(downs=downs), NOW_S) == expected


def decide(
    current: int, proposed: int, bounds: Bounds, history: History, now_s: float = NOW_S
) -> tuple[int, str, str]:
    """The number, and the reasons of AbleToScale and ScalingLimited."""
    number, (able, limited) = settle(current, proposed, bounds, history, now_s)
    assert (able.type, limited.type) == ("AbleToScale", "ScalingLimited")
    # Limited is exactly what has a reason other than being within the range.
    assert limited.is_true == (limited.reason != "DesiredWithinRange")
    return number, able.reason, limited.reason


def test_up_is_immediate_within_rate_and_bounds() -> None:
    """Two replicas that are asked to be nine: six by the rate, five by the most there may be."""
    assert decide(2, 9, Bounds(1, 20), History()) == (6, "ReadyForNewScale", "ScaleUpLimit")
    assert decide(2, 9, Bounds(1, 5), History()) == (5, "ReadyForNewScale", "TooManyReplicas")
    assert decide(2, 9, Bounds(1, 6), History()) == (6, "ReadyForNewScale", "TooManyReplicas")
    assert decide(2, 4, Bounds(1, 5), History()) == (4, "ReadyForNewScale", "DesiredWithinRange")


def test_a_rate_that_is_used_up_does_not_scale_down() -> None:
    """Four of seven pods came in this period, five more are wanted: none may come, none goes."""
    history = History([(NOW_S, 7)], ups=[(NOW_S - 5, 4)])
    one = Bounds(1, 20, rules(("Pods", 1, 15.0)))
    assert decide(7, 12, one, history) == (7, "ReadyForNewScale", "ScaleUpLimit")


def test_down_waits_for_the_highest_of_the_last_five_minutes() -> None:
    """Four were wanted once, two are wanted since: four stay for 300 s."""
    history, bounds = History(), Bounds(2, 8)
    assert decide(4, 4, bounds, history, 0.0)[0] == 4
    for now_s in (15.0, 150.0, 299.0):
        assert decide(4, 2, bounds, history, now_s)[:2] == (4, "ScaleDownStabilized")
    assert decide(4, 2, bounds, history, 300.0)[:2] == (2, "ReadyForNewScale")


def test_a_controller_that_begins_holds_what_it_finds() -> None:
    """Without a history the present number counts as recommended just now."""
    assert decide(4, 1, Bounds(1, 8), History(), 0.0)[:2] == (4, "ScaleDownStabilized")


def test_down_stops_at_the_fewest() -> None:
    history, bounds = History([(0.0, 1)]), Bounds(2, 8, UP, DOWN._replace(window_s=0.0))
    assert decide(4, 1, bounds, history) == (2, "ReadyForNewScale", "TooFewReplicas")


def test_down_by_rate() -> None:
    one = rules(("Pods", 1, 60.0))
    history = History([(0.0, 4)])
    assert decide(4, 2, Bounds(1, 8, UP, one), history)[::2] == (3, "ScaleDownLimit")


def test_a_window_up_takes_the_lowest() -> None:
    """30 s of caution when scaling up: a peak shorter than that is not followed."""
    history, bounds = History(), Bounds(1, 9, UP._replace(window_s=30.0))
    assert decide(2, 6, bounds, history, 0.0)[:2] == (2, "ScaleUpStabilized")
    assert decide(2, 6, bounds, history, 15.0)[0] == 2
    assert decide(2, 5, bounds, history, 30.0)[0] == 5


def test_a_manual_change_is_undone_as_in_kubernetes() -> None:
    """The history knows two; somebody asked for four: the metrics' two come back at once."""
    history, bounds = History(), Bounds(2, 8)
    assert decide(2, 2, bounds, history, 0.0)[0] == 2
    assert decide(4, 1, bounds, history, 15.0)[0] == 2


def test_history_keeps_changes_by_direction_and_forgets_what_no_rule_needs() -> None:
    history = History()
    history.changed(2, 5, 10.0)
    history.changed(5, 4, 20.0)
    history.changed(4, 4, 30.0)
    assert (history.ups, history.downs) == ([(10.0, 3)], [(20.0, 1)])
    settle(4, 4, Bounds(1, 8), history, 315.0)  # the longest memory is the 300 s of scaling down
    assert (history.ups, history.downs) == ([], [(20.0, 1)])


@given(
    st.integers(1, 30),
    st.lists(st.integers(0, 60), min_size=1, max_size=30),
    st.integers(1, 10),
    st.integers(0, 20),
)
def test_whatever_is_proposed_the_number_stays_in_bounds(
    start: int, proposals: list[int], fewest: int, room: int
) -> None:
    """Follow a random walk of proposals every 15 s, with all default rules."""
    bounds, history = Bounds(fewest, fewest + room), History()
    current = min(max(start, fewest), fewest + room)
    for turn, proposed in enumerate(proposals):
        number, _ = settle(current, proposed, bounds, history, turn * 15.0)
        assert fewest <= number <= fewest + room
        assert number <= max(2 * current, current + 4)
        history.changed(current, number, turn * 15.0)
        current = number
