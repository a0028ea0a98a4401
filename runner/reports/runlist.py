"""The page of all runs: everything that it shows, computed once. Pure; markup is not done here."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from urllib.parse import quote

from runner.analysis.history import Trend, trends
from runner.model.evaluation import Verdict
from runner.model.shape import Items, Model
from runner.model.summary import RunSummary
from runner.reports import format as fmt
from runner.reports.text import Shown

STANDING_SIGNS = {"unjudged": "–", "under way": "▶", "unfinished": "✂", "torn": "⚠", "judged": ""}
_STANDING_WORDS = {
    "unjudged": "not judged",
    "under way": "under way",
    "unfinished": "unfinished",
    "torn": "unreadable",
}
MOST_SPARKS = 60
"""Runs in a row of sparks; older ones are in the table."""

MAIN_OBJECTIVES = 4
_LONGEST_NAME, _LONGEST_TITLE = 60, 90


def cut(text: str, longest: int) -> str:
    """``text``, or its beginning with an ellipsis."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def standing_word(one: RunSummary) -> str:
    """The verdict, or what stands in its place."""
    return one.verdict.value if one.verdict else _STANDING_WORDS.get(one.standing, one.standing)


class RunLine(Model):
    """A row of the list.

    Attributes:
        kind: The verdict, or ``none``: what colour it has, and what the filter asks for.
        href: Where its report is, relative to the page; empty when there is none.
        live: Where it can be watched; empty unless it is under way and somebody serves it.
    """

    when: str
    iso: str
    run_id: Shown
    experiment: Shown
    kind: str
    sign: str
    word: str
    valid: str
    length: str
    load: Shown
    target: Shown
    why: Shown
    href: str
    live: str = ""


class Spark(Model):
    """A run in a row of sparks: how high it stands, from -1 to 1, and its colour."""

    kind: str
    height: float


class ObjectiveSpark(Model):
    """An objective of an experiment in its comparable runs, oldest first.

    Attributes:
        points: Places in a field of 100 x 20, from the upper left.
        bound_y: Where the bound lies in it; None when it is not near.
        about: What is to be seen, for those who do not see it.
    """

    title: Shown
    points: Items[tuple[float, float]]
    bound_y: float | None
    last: str
    bound: str
    change: str
    kind: str
    word: str
    about: Shown


class ExperimentRuns(Model):
    """What the runs of one experiment have in common."""

    name: Shown
    count: int
    sparks: Items[Spark]
    about: Shown
    newest: RunLine
    objectives: Items[ObjectiveSpark]
    left_out: int


class RunList(Model):
    """The page of all runs."""

    made: str
    runs: Items[RunLine]
    experiments: Items[ExperimentRuns]
    kinds: Items[str]


def run_list(summaries: Sequence[RunSummary], now_s: float, *, served: bool = False) -> RunList:
    """The page of ``summaries``, which come newest first.

    Args:
        summaries: Lines about runs.
        now_s: Unix time of this moment.
        served: Whether somebody serves the page, so that there is more than files to link to.
    """
    lines = [run_line(one, served=served) for one in summaries]
    order = {name: at for at, name in reversed([*enumerate(s.experiment for s in summaries)])}
    real = [one for one in summaries if one.standing != "torn"]
    by_name = sorted(real, key=lambda one: order[one.experiment])
    groups = [
        _experiment(name, list(runs), served=served)
        for name, runs in groupby(by_name, key=lambda one: one.experiment)
    ]
    return RunList(
        made=fmt.utc(now_s),
        runs=tuple(lines),
        experiments=tuple(groups),
        kinds=tuple(dict.fromkeys(sorted(line.kind for line in lines))),
    )


def run_line(one: RunSummary, *, served: bool = False) -> RunLine:
    """A row about a run."""
    folder = "/".join(quote(part, safe="") for part in one.folder.split("/"))
    length = fmt.NOTHING if one.duration_s is None else fmt.span(one.duration_s)
    when = fmt.day_minute(one.created_s)
    return RunLine(
        when=when,
        iso="" if one.created_s is None else when.replace(" ", "T") + "Z",
        run_id=one.run_id,
        experiment=cut(one.experiment, _LONGEST_NAME),
        kind=one.verdict.value if one.verdict else "none",
        sign=STANDING_SIGNS[one.standing],
        word=standing_word(one),
        valid={True: "yes", False: "no", None: fmt.NOTHING}[one.valid],
        length=f"{length} (× {one.time_scale:g})" if one.rehearsal else length,
        load=one.load or fmt.NOTHING,
        target=cut(one.target, _LONGEST_NAME) or fmt.NOTHING,
        why=one.why,
        href=f"{folder}/report/index.html" if one.report else "",
        live=f"/-/live/{folder}" if served and one.standing == "under way" else "",
    )


_HEIGHTS = {Verdict.PASS: 1.0, Verdict.WARN: 0.6, Verdict.INCONCLUSIVE: 0.25, Verdict.FAIL: -1.0}


def _experiment(name: str, runs: list[RunSummary], *, served: bool) -> ExperimentRuns:
    seen = runs[:MOST_SPARKS][::-1]
    words = [standing_word(one) for one in seen]
    counts = [f"{words.count(word)} {word}" for word in dict.fromkeys(words)]
    found = [spark for trend in trends(runs) if (spark := _objective(trend)) is not None]
    found.sort(key=lambda spark: spark.kind not in ("fail", "warn"))
    return ExperimentRuns(
        name=cut(name, _LONGEST_NAME),
        count=len(runs),
        sparks=tuple(
            Spark(kind=one.verdict.value, height=_HEIGHTS[one.verdict])
            if one.verdict
            else Spark(kind="none", height=0.1)
            for one in seen
        ),
        about=f"Verdicts, oldest first: {', '.join(counts)}; the newest: {words[-1]}.",
        newest=run_line(runs[0], served=served),
        objectives=tuple(found[:MAIN_OBJECTIVES]),
        left_out=max(0, len(found) - MAIN_OBJECTIVES),
    )


_NEAR = 3.0
"""A bound further away than so many times the highest figure is not drawn."""


def _objective(trend: Trend) -> ObjectiveSpark | None:
    known = [point for point in trend.comparable if point.observed is not None][-MOST_SPARKS:]
    if not known:
        return None
    values = [point.observed or 0.0 for point in known]
    last = known[-1]
    near = last.bound is not None and abs(last.bound) <= _NEAR * max(map(abs, values), default=0.0)
    reach = [*values, *([last.bound] if near and last.bound is not None else [])]
    low, high = min([0.0, *reach]), max([0.0, *reach]) or 1.0

    def up(value: float) -> float:
        return round(18 - 16 * (value - low) / (high - low), 2)

    step = 96 / max(1, len(known) - 1)
    low_text, high_text = (fmt.quantity(pick(values), trend.unit) for pick in (min, max))
    return ObjectiveSpark(
        title=cut(trend.title, _LONGEST_TITLE),
        points=tuple((round(2 + step * at, 2), up(value)) for at, value in enumerate(values)),
        bound_y=up(last.bound) if near and last.bound is not None else None,
        last=fmt.quantity(last.observed, trend.unit),
        bound=fmt.quantity(last.bound, trend.unit),
        change=fmt.difference(last.change, trend.unit) if last.change else fmt.NOTHING,
        kind=last.verdict.value,
        word=last.verdict.value,
        about=f"{trend.title} in {len(known)} comparable runs: from {low_text} to {high_text}.",
    )
