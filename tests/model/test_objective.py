"""The grammar of objectives, its units and its refusals."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from runner.model.bound import parse_bound
from runner.model.guard import Guard
from runner.model.objective import Objective


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("latency.p95 < 500ms", ("latency", "p95", "<", 0.5)),
        ("p(95)<500ms", ("latency", "p95", "<", 0.5)),
        ("p99.9 <= 1s", ("latency", "p99.9", "<=", 1.0)),
        ("med < 20ms", ("latency", "p50", "<", 0.02)),
        ("latency.max < 2s", ("latency", "max", "<", 2.0)),
        ("errors < 0.1%", ("errors", "", "<", 0.001)),
        ("traffic > 90/s", ("traffic", "", ">", 90.0)),
        ("saturation.cpu < 50%", ("saturation.cpu", "", "<", 0.5)),
        ("recovery < 30s", ("recovery", "", "<", 30.0)),
    ],
)
def test_the_grammar(text: str, expected: tuple[str, str, str, float]) -> None:
    bound = parse_bound(text)
    assert (bound.sli, bound.statistic, bound.operator) == expected[:3]
    assert bound.value == pytest.approx(expected[3], rel=1e-12)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("latency.p95 < 500", "the bound '500' of latency is not a duration"),
        ("errors < 0.001", "the bound '0.001' of errors is not a percentage"),
        ("traffic > 90", "the bound '90' of traffic is not a rate"),
        ("p(0) < 1s", "'p.0.' is not an indicator"),
        (
            "lateny.p95 < 1s",
            "'lateny.p95' is not an indicator; did you mean 'latency.p95'. accepted",
        ),
        ("error < 1%", "'error' is not an indicator; did you mean 'errors'. accepted"),
        ("weather < 1%", "'weather' is not an indicator; accepted: "),
        ("errors < 1", "the bound '1' of errors is not a percentage with its unit"),
        ("errors = 1%", "is not an objective such as"),
    ],
)
def test_a_refusal_names_the_wrong_part_and_what_is_accepted(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_bound(text)


@pytest.mark.parametrize("observed", [float("nan"), 0.6])
def test_a_bound_does_not_hold_for_nan_or_beyond(observed: float) -> None:
    assert not parse_bound("errors < 50%").holds(observed)
    assert parse_bound("errors < 50%").holds(0.49)


def test_a_string_is_short_for_the_long_form_and_a_phase_for_a_list() -> None:
    long = Objective.model_validate({"objective": "errors < 1%", "during": "fault"})
    assert Objective.model_validate("errors < 1%").during == ("baseline", "fault", "recovery")
    assert long.during == ("fault",)


def test_the_source_follows_from_what_is_judged() -> None:
    sources = [
        Objective.model_validate(value).effective_source
        for value in (
            "errors < 1%",
            {"objective": "errors < 1%", "service": "order-api"},
            "saturation.cpu < 50%",
            {"objective": "errors < 1%", "source": "mesh"},
        )
    ]
    assert sources == ["client", "mesh", "mesh", "mesh"]


@pytest.mark.parametrize(
    "value",
    [
        {"objective": "errors < 1%", "warn": "2%"},
        {"objective": "errors < 1%", "warn": "20ms"},
        {"objective": "traffic > 90/s", "warn": "80/s"},
        {"objective": "saturation.cpu < 1%", "source": "client"},
        {"objective": "recovery < 1s", "during": "fault"},
        {"objective": "errors < 1%", "of": "GET /", "service": "order-api"},
        {"objective": "errors < 1%", "during": []},
        {"objective": "errors < 1%", "at_least": 0},
    ],
)
def test_contradictions_are_refused(value: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Objective.model_validate(value)


@pytest.mark.parametrize(
    ("text", "meant", "well"),
    [
        ("latency.p95 > 500ms", "latency.p95 < 500ms", "low latency"),
        ("errors >= 1%", "errors <= 1%", "low errors"),
        ("recovery > 10s", "recovery < 10s", "short recovery"),
        ("saturation.cpu > 50%", "saturation.cpu < 50%", "low saturation.cpu"),
        ("traffic < 90/s", "traffic > 90/s", "high traffic"),
    ],
)
def test_a_promise_of_what_is_bad_is_refused(text: str, meant: str, well: str) -> None:
    """Goal: a slip of the operator is no verdict. Method: each indicator the wrong way round."""
    said = f"wrong way round: .* says what is well, and that is {well}; did you mean '{meant}'"
    with pytest.raises(ValidationError, match=said):
        Objective.model_validate(text)
    assert Objective.model_validate(meant).bound.holds(0 if text[0] != "t" else 1e9)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("errors > 60%", "errors < 60%"),
        ("latency.p95 >= 5s", "latency.p95 <= 5s"),
        ("traffic < 5/s", "traffic > 5/s"),
    ],
)
def test_a_guard_is_the_other_way_round(right: str, wrong: str) -> None:
    """Goal: no abort of a healthy run. Method: both directions as a guard."""
    assert Guard.model_validate({"abort_when": right}).abort_when == right
    with pytest.raises(ValidationError, match=f"did you mean '{right}'"):
        Guard.model_validate({"abort_when": wrong})
