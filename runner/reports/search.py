"""A search for the breaking point as a report tells it: rates, steps and one chart. Pure.

All figures come from the evaluation; here they get their words.
"""

from __future__ import annotations

from collections.abc import Sequence

from runner.analysis.words import figure
from runner.model.searchfigures import RateFigure, RateWord, SearchFigures, StepFigure
from runner.model.shape import Items, Model
from runner.reports import format as fmt
from runner.reports.rows import Number, number
from runner.reports.text import Shown

CHART_ID = "search-latency"

WORDS: dict[RateWord, str] = {
    "holds": "holds",
    "fails": "fails",
    "unclear": "unclear",
    "generator-limited": "generator's limit",
}
_WHY = {
    "latency": "latency",
    "errors": "errors",
    "throughput-flat": "throughput stays behind",
}


class RateRow(Model):
    """One rate, over all the times that it was tried."""

    rate: Number
    tries: Number
    verdict: RateWord
    word: str
    achieved: Number
    quantile: Number
    quantile_high: Number
    error_ratio: Number


class StepRow(Model):
    """One step, in order of time."""

    number: int
    at: str
    rate: Number
    quantile: Number
    failed: Number
    dropped: Number
    why: Shown
    remark: Shown


class RateMark(Model):
    """One rate in the chart.

    Attributes:
        value_s: The latency; None where there is none to be drawn.
        high_s: Its upper confidence limit.
    """

    rate_per_s: float
    verdict: RateWord
    value_s: float | None
    high_s: float | None = None


class SearchChart(Model):
    """Latency over the rate, with the interval that was found.

    Attributes:
        low_per_s, high_per_s: Ends of the interval; None where an end is not known.
        about: The chart in a sentence, for those who do not see it.
    """

    id: str = CHART_ID
    title: str
    subject: Shown = "each rate of the search"
    marks: Items[RateMark]
    bound_s: float | None
    bound_label: str
    low_per_s: float | None
    high_per_s: float | None
    start_per_s: float
    end_per_s: float
    about: Shown

    @property
    def missing(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(mark.value_s is not None for mark in self.marks)


class SearchStory(Model):
    """All that a report shows of a search."""

    sentence: Shown
    law: Shown
    statistic: str
    latency_bound: str
    error_bound: str
    rates: Items[RateRow]
    steps: Items[StepRow]
    chart: SearchChart


def search_story(found: SearchFigures) -> SearchStory:
    """What a report shows of ``found``."""
    return SearchStory(
        sentence=found.sentence,
        law="" if found.law is None else found.law.sentence,
        statistic=found.statistic,
        latency_bound=_bound(found.latency_bound_s, "s"),
        error_bound=_bound(found.error_bound_ratio, "ratio"),
        rates=tuple(_rate_row(one) for one in found.rates),
        steps=tuple(_step_row(one) for one in found.steps),
        chart=_chart(found),
    )


def rate_text(rate_per_s: float) -> str:
    """A rate with the digits that it was offered with."""
    return figure(rate_per_s, "per_s", 4)


def verdict_word(one: RateFigure) -> str:
    """What became of a rate, in two or three words."""
    word = WORDS[one.verdict]
    return f"{word}: {_WHY[one.reason]}" if one.reason in _WHY else word


def _bound(value: float | None, unit: str) -> str:
    return "" if value is None else fmt.quantity(value, unit)


def _rate(rate_per_s: float) -> Number:
    return Number(value=rate_per_s, unit="per_s", text=rate_text(rate_per_s))


def _rate_row(one: RateFigure) -> RateRow:
    return RateRow(
        rate=_rate(one.rate_per_s),
        tries=number(one.tries, "count"),
        verdict=one.verdict,
        word=verdict_word(one),
        achieved=number(one.achieved_ratio, "ratio"),
        quantile=number(one.quantile_s, "s"),
        quantile_high=number(one.quantile_high_s, "s"),
        error_ratio=number(one.error_ratio, "ratio"),
    )


def _step_row(one: StepFigure) -> StepRow:
    remarks = []
    if one.problem:
        remarks.append(f"the generator was the limit: {one.problem}")
    if one.in_flight:
        remarks.append(f"{fmt.count(one.in_flight)} were not answered in time")
    return StepRow(
        number=one.number,
        at=fmt.clock_offset(one.start_s),
        rate=_rate(one.rate_per_s),
        quantile=number(one.quantile_s, "s"),
        failed=number(one.failed, "count"),
        dropped=number(one.dropped, "count"),
        why=one.why,
        remark="; ".join(remarks),
    )


def _chart(found: SearchFigures) -> SearchChart:
    bound = _bound(found.latency_bound_s, "s")
    marks = tuple(
        RateMark(
            rate_per_s=one.rate_per_s,
            verdict=one.verdict,
            value_s=one.quantile_s,
            high_s=one.quantile_high_s,
        )
        for one in found.rates
    )
    return SearchChart(
        title=f"Latency {found.statistic} by rate",
        marks=marks,
        bound_s=found.latency_bound_s,
        bound_label=f"{found.statistic} < {bound}" if bound else "",
        low_per_s=found.low_per_s or None,
        high_per_s=found.high_per_s,
        start_per_s=found.start_per_s,
        end_per_s=found.end_per_s,
        about=_about(marks, found),
    )


def _about(marks: Sequence[RateMark], found: SearchFigures) -> str:
    known = [mark for mark in marks if mark.value_s is not None]
    if not known:
        return "No rate was answered."
    ends = [known[0], known[-1]] if len(known) > 1 else known
    seen = " and ".join(
        f"{fmt.seconds(mark.value_s)} at {rate_text(mark.rate_per_s)}" for mark in ends
    )
    return f"{found.statistic}: {seen}. {found.sentence}"
