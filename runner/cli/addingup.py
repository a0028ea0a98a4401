"""How the objectives of a plan add up, and what they rest on beside the four signals, as text.

What each objective is, and where it is judged, stands in the tables of ``cli.timeline``.
"""

from __future__ import annotations

from runner.analysis.words import listed
from runner.model.experiment import Experiment
from runner.model.objective import Objective
from runner.model.ownsignal import OwnSignal
from runner.model.score import ErrorBudget, ScoreRule
from runner.model.units import format_duration
from runner.reports import format as fmt

_ALL = 1000
"""More objectives than a file has: each is named."""


def adding_up(experiment: Experiment) -> list[str]:
    """A line for the score, the error budget, each group and each own signal; none: no line."""
    lines = [] if experiment.score is None else [_score(experiment.score, experiment.objectives)]
    if experiment.budget is not None:
        lines.append(_budget(experiment.budget, experiment.objectives))
    lines += [
        f"Group {name}: {listed(members, _ALL)}" for name, members in experiment.groups.items()
    ]
    return [*lines, *(_signal(name, own) for name, own in experiment.signals.items())]


def _score(rule: ScoreRule, objectives: tuple[Objective, ...]) -> str:
    text = f"Score: pass from {rule.passes:g} % of the weights on, warn from {rule.warns:g} %"
    heavy = [f"{one.weight:g} for {one.title}" for one in objectives if one.weight != 1]
    keys = [one.title for one in objectives if one.key]
    weights = f"; each weighs 1, but {listed(heavy, _ALL)}" if heavy else "; each weighs 1"
    return text + weights + (f"; never without: {listed(keys, _ALL)}" if keys else "")


def _budget(budget: ErrorBudget, objectives: tuple[Objective, ...]) -> str:
    whole = [one.title for one in objectives if one.bound.sli == "budget"]
    of = "as many as at the baseline's rate"
    traffic = of if budget.traffic is None else f"{budget.traffic:,.0f}"
    return (
        f"Error budget: of the requests of {format_duration(budget.period)} ({traffic}), "
        f"{fmt.percent(budget.allowed_ratio)} may fail"
        + (f"; over the whole run but its warmup: {listed(whole, _ALL)}" if whole else "")
    )


def _signal(name: str, own: OwnSignal) -> str:
    how = "at the end of each phase" if own.over_range else f"all through, {own.take} of each phase"
    return f"Signal {name} ({own.unit}, {how}): {' '.join(own.promql.split())}"
