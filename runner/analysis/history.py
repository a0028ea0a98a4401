"""Lists of runs: chosen by what they are, and how one objective fared over them. Pure.

One run is compared with another only where both were asked the same: the newest run of full length
says what that is, and each run that differs in load, length, target or judgement is marked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import groupby

from runner.analysis.words import moment
from runner.model.evaluation import Verdict, by_title
from runner.model.shape import Items, Model
from runner.model.summary import ObjectiveFigure, RunSummary

ALL = "all"
SPARKS = "▁▂▃▄▅▆▇█"
GAP = "·"
"""What stands in a row of sparks where there is no figure."""


class TrendPoint(Model):
    """What one run says about an objective.

    Attributes:
        differs: In what the run is not comparable with the newest one of full length; empty when
            it is.
        change: Difference to the comparable run before, in the trend's unit; None without one.
        change_ratio: The same as a share of the figure before; None where that is 0.
    """

    run_id: str
    folder: str
    created_s: float | None = None
    verdict: Verdict
    valid: bool | None = None
    where: str = ""
    observed: float | None = None
    bound: float | None = None
    differs: str = ""
    change: float | None = None
    change_ratio: float | None = None


class Trend(Model):
    """One objective of one experiment over its runs, newest first."""

    experiment: str
    title: str
    unit: str
    operator: str = ""
    points: Items[TrendPoint]

    @property
    def comparable(self) -> tuple[TrendPoint, ...]:
        """The points that may be compared with each other, oldest first."""
        return tuple(point for point in reversed(self.points) if not point.differs)


def chosen(
    summaries: Iterable[RunSummary],
    *,
    experiment: str = "",
    verdicts: Collection[str] = (),
    since_s: float | None = None,
    target: str = "",
) -> list[RunSummary]:
    """Those of ``summaries`` that are meant, in their order.

    Args:
        summaries: Lines about runs.
        experiment: Only runs of this one.
        verdicts: Only runs with one of these verdicts.
        since_s: Only runs that were begun at this Unix time or later.
        target: Only runs against the target of this name.
    """
    return [
        one
        for one in summaries
        if (not experiment or one.experiment == experiment)
        and (not verdicts or one.verdict in verdicts)
        and (since_s is None or (one.created_s is not None and one.created_s >= since_s))
        and (not target or one.target == target)
    ]


def trends(summaries: Sequence[RunSummary], wanted: str = ALL) -> list[Trend]:
    """How objectives fared over ``summaries``, which come newest first.

    Args:
        summaries: Lines about runs; those without a judgement say nothing and are left out.
        wanted: Text of an objective, or a part of it, in any case; ``all`` for all of them. Where
            a title is exactly that, titles that merely contain it are not meant.
    """
    found: list[Trend] = []
    for experiment, runs in groupby(
        sorted(summaries, key=lambda one: one.experiment), key=lambda one: one.experiment
    ):
        judged = [one for one in runs if one.standing == "judged"]
        figures = [by_title(one.objectives) for one in judged]
        keys = dict.fromkeys(key for known in figures for key in known)
        found += [_trend(experiment, key, judged, figures) for key in keys]
    return _meant(found, wanted)


def _meant(found: list[Trend], wanted: str) -> list[Trend]:
    if wanted == ALL:
        return found
    text = _plain(wanted)
    exact = [trend for trend in found if _plain(trend.title) == text]
    return exact or [trend for trend in found if text in _plain(trend.title)]


def _plain(title: str) -> str:
    """``title`` for a comparison: case and spaces are no matter."""
    return "".join(title.casefold().split())


def _trend(
    experiment: str,
    key: tuple[str, int],
    runs: Sequence[RunSummary],
    figures: Sequence[dict[tuple[str, int], ObjectiveFigure]],
) -> Trend:
    pairs = [(run, known[key]) for run, known in zip(runs, figures, strict=True) if key in known]
    reference = next((run for run, _ in pairs if not run.rehearsal), pairs[0][0])
    points: list[TrendPoint] = []
    before: float | None = None
    for run, one in reversed(pairs):
        differs = difference(run, reference)
        change = None
        if not differs and one.observed is not None:
            change = None if before is None else one.observed - before
            ratio = change / before if change is not None and before else None
            before = one.observed
        else:
            ratio = None
        points.append(
            TrendPoint(
                run_id=run.run_id,
                folder=run.folder,
                created_s=run.created_s,
                verdict=one.verdict,
                valid=run.valid,
                where=one.where,
                observed=one.observed,
                bound=one.bound,
                differs=differs,
                change=change,
                change_ratio=ratio,
            )
        )
    newest = pairs[0][1]
    return Trend(
        experiment=experiment,
        title=key[0],
        unit=newest.unit,
        operator=newest.operator,
        points=tuple(reversed(points)),
    )


def difference(run: RunSummary, reference: RunSummary) -> str:
    """In what ``run`` was asked something else than ``reference``; empty when in nothing.

    A run that was not valid proves nothing, and so is not compared either.
    """
    said = []
    if not run.valid:
        said.append("not valid")
    if run.time_scale != reference.time_scale:
        said.append(f"rehearsal × {run.time_scale:g}" if run.rehearsal else "full length")
    elif run.duration_s != reference.duration_s and run.duration_s is not None:
        said.append(f"length {moment(run.duration_s)}")
    if run.load != reference.load:
        said.append(f"load {run.load or 'unknown'}")
    if run.faults != reference.faults:
        said.append("other faults")
    if run.target != reference.target:
        said.append(f"target {run.target or 'unknown'}")
    if run.judged_by != reference.judged_by:
        said.append(f"judged by {run.judged_by or 'its own objectives'}")
    return ", ".join(said)


def sparks(values: Sequence[float | None]) -> str:
    """``values`` as a row of blocks, from the lowest to the highest; a dot where there is none."""
    known = [value for value in values if value is not None]
    if not known:
        return GAP * len(values)
    low, high = min(known), max(known)
    reach = high - low
    return "".join(
        GAP
        if value is None
        else SPARKS[0 if reach <= 0 else round((value - low) / reach * (len(SPARKS) - 1))]
        for value in values
    )
