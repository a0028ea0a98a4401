"""Single bounds: what relative ones come to, and which texts are none."""

from __future__ import annotations

import math

import pytest

from runner.model.bound import Reference, Unit, bound_of, parse_bound, parse_quantity


@pytest.mark.parametrize(
    ("text", "reference", "limit"),
    [
        ("latency.p99 <= baseline", Reference(), 0.2),
        ("latency.p99 <= baseline + 10%", Reference(slack_ratio=0.1), 0.22),
        ("latency.p99 <= baseline - 10%", Reference(slack_ratio=-0.1), 0.18),
        ("latency.p99 <= run:nightly + 20ms", Reference(run="nightly", slack=0.02), 0.22),
        ("latency.p99 <= baseline + 150%", Reference(slack_ratio=1.5), 0.5),
        ("errors <= baseline + 0.5pp", Reference(slack=0.005), 0.205),
        ("signal.queue <= baseline - 0.1", Reference(slack=-0.1), 0.1),
    ],
)
def test_a_relative_bound_and_what_it_comes_to(
    text: str, reference: Reference, limit: float
) -> None:
    """Goal: what may be added is a share of the figure, or an amount. Method: a figure of 0.2."""
    bound = parse_bound(text)
    assert bound.reference == reference
    assert math.isnan(bound.value)
    absolute = bound.resolved(0.2)
    assert absolute.value == pytest.approx(limit)
    assert absolute.reference is None
    assert (absolute.sli, absolute.operator) == (bound.sli, bound.operator)


def test_nothing_satisfies_a_relative_bound_and_an_absolute_one_is_what_it_is() -> None:
    assert not parse_bound("latency.p99 <= baseline + 10%").holds(0.0)
    absolute = parse_bound("latency.p99 <= 500ms")
    assert absolute.resolved(0.2) is absolute


@pytest.mark.parametrize(
    ("operator", "upper", "held"),
    [
        ("<", True, [True, False, False]),
        ("<=", True, [True, True, False]),
        (">", False, [False, False, True]),
        (">=", False, [False, True, True]),
    ],
)
def test_which_figures_hold(operator: str, upper: bool, held: list[bool]) -> None:
    """Goal: what is as much as the bound. Method: a figure below, at and above it; and none."""
    bound = bound_of("traffic", "", operator, "5/s")
    assert [bound.holds(one) for one in (4.0, 5.0, 6.0)] == held
    assert not bound.holds(math.nan)
    assert bound.upper is upper


def test_alerts_of_a_severity_or_of_any() -> None:
    for text, severity in (("no critical alert", "critical"), ("No alerts", "")):
        bound = parse_bound(text)
        assert (bound.sli, bound.statistic, bound.operator) == ("alerts", severity, "<")
        assert (bound.value, bound.unit, bound.indicator) == (1.0, "count", "alerts")


def test_names_of_references_and_quantiles() -> None:
    assert (Reference().name, Reference(run="nightly").name) == ("baseline", "run nightly")
    assert parse_bound("p(99.9) < 1s").quantile == pytest.approx(0.999)
    assert parse_bound("latency.avg < 1s").quantile is None
    assert parse_bound("signal.p95 < 1s").quantile is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("recovery < baseline + 10%", "recovery is not compared with 'baseline + 10%'"),
        ("budget < run:nightly", "budget is not compared with 'run:nightly'"),
        ("latency.p99 <= baseline + 5/s", "'5/s' is no amount of latency"),
        ("latency.p99 <= baseline + lots", "'lots' is no amount"),
        ("latency.p0 < 1s", "'latency.p0' is not an indicator"),
        ("burn-rate < " + "9" * 400, "is not a plain number, such as 14.4"),
    ],
)
def test_what_is_no_bound_is_refused_with_the_part_that_is_wrong(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=r".+") as caught:
        parse_bound(text)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [("5", 5.0, "count"), ("1.5e3", 1500.0, "count"), ("20ms", 0.02, "s"), ("5%", 0.05, "ratio")],
)
def test_an_own_signal_has_the_unit_that_its_bound_is_written_with(
    text: str, value: float, unit: Unit
) -> None:
    assert parse_quantity(text) == (value, unit)
    bound = bound_of("signal", "queue", "<", text)
    assert (bound.value, bound.unit, bound.indicator) == (value, unit, "signal.queue")
