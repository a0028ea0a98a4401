"""The error budget, and how fast each phase burned it. Pure; no markup.

The marks are those of multi-window burn-rate alerts (Google, The Site Reliability Workbook,
chapter 5): at 1 the budget lasts exactly one period; 6 and 14.4 call people out of bed.
"""

from __future__ import annotations

import math

from runner.model.evaluation import BudgetFigures, BurnFigure
from runner.model.shape import Items, Model
from runner.reports import format as fmt
from runner.reports.rows import Number, number, window
from runner.reports.text import Shown

MARKS = (1.0, 6.0, 14.4)
_LOWEST = 0.1
_LEAST_TOP = 30.0


class BurnRow(Model):
    """A phase.

    Attributes:
        percent: Length of its bar on a logarithmic axis; 0 when nothing was burned.
        pace: ``calm``, ``slow`` (from 1 on), ``fast`` (from 6 on), ``blazing`` (from 14.4 on).
        lasts: How long a whole budget would last at that rate.
    """

    label: Shown
    window: str
    requests: Number
    failures: Number
    rate: Number
    percent: float
    pace: str
    lasts: str


class BudgetStory(Model):
    """The budget of the run.

    Attributes:
        marks: ``(percent, text)`` on the axis of rates.
    """

    slo: Number
    period: str
    allowed: Number
    failed: Number
    share: Number
    phases: Items[BurnRow]
    marks: Items[tuple[float, str]]
    sentence: Shown


def budget_story(figures: BudgetFigures) -> BudgetStory:
    """``figures`` as people read them."""
    rates = [one.rate for one in figures.phases if one.rate is not None]
    top = max(_LEAST_TOP, 1.3 * max(rates, default=0.0))

    def percent(rate: float) -> float:
        if rate <= _LOWEST:
            return 0.0
        return round(100 * math.log(rate / _LOWEST) / math.log(top / _LOWEST), 2)

    return BudgetStory(
        slo=number(figures.slo_ratio, "ratio"),
        period=fmt.days(figures.period_s),
        allowed=number(figures.allowed, "count"),
        failed=number(figures.failed, "count"),
        share=number(figures.share_ratio, "ratio"),
        phases=tuple(
            _row(one, figures.period_s, percent(one.rate or 0.0)) for one in figures.phases
        ),
        marks=tuple((percent(mark), fmt.times(mark)) for mark in MARKS),
        sentence=_sentence(figures),
    )


def _row(figure: BurnFigure, period_s: float, percent: float) -> BurnRow:
    rate = figure.rate
    paces = ("calm", "slow", "fast", "blazing")
    return BurnRow(
        label=figure.label,
        window=window(figure.start_s, figure.end_s),
        requests=number(figure.requests, "count"),
        failures=number(figure.failures, "count"),
        rate=Number(value=rate, unit="count", text=fmt.times(rate)),
        percent=percent,
        pace=paces[0 if rate is None else sum(rate >= mark for mark in MARKS)],
        lasts=fmt.NOTHING if rate is None else fmt.days(period_s / rate) if rate else "for ever",
    )


def _sentence(figures: BudgetFigures) -> str:
    slo, period = fmt.whole_percent(figures.slo_ratio), fmt.days(figures.period_s)
    failed = "1 request" if figures.failed == 1 else f"{fmt.count(figures.failed)} requests"
    if figures.allowed is None or figures.share_ratio is None:
        return (
            f"At {slo} in {period}, what this run would take of the error budget is not known; "
            f"{failed} failed."
        )
    return (
        f"At {slo} in {period}, {fmt.count(figures.allowed)} requests may fail. {failed} failed in "
        f"this run, which is {fmt.percent(figures.share_ratio)} of that budget."
    )
