"""The same figures as the load and as the mesh saw them, side by side. Pure; no markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runner.model.evaluation import Evaluation, ViewFigures
from runner.model.shape import Items, Model
from runner.reports import format as fmt
from runner.reports.rows import Number, number
from runner.reports.text import Shown

_TITLES = {"traffic": "Rate", "errors": "Errors"}


class ViewRow(Model):
    """One figure in one phase.

    Attributes:
        within: Whether the gap is as expected; None where nothing is expected or known.
    """

    title: str
    client: Number
    mesh: Number
    gap: Number
    tolerance: Number
    within: bool | None
    reason: Shown


class ViewGroup(Model):
    """All figures of one phase; of every phase the same ones, in the same order.

    Attributes:
        remark: Why views differ, where that is known, or that they differ too much.
    """

    label: Shown
    rows: Items[ViewRow]
    remark: Shown


def view_groups(evaluation: Evaluation) -> tuple[ViewGroup, ...]:
    """The views, phase by phase; none where the mesh saw nothing, as validity then says."""
    if all(figures.mesh is None for figures in evaluation.views):
        return ()
    slis = list(dict.fromkeys(figures.sli for figures in evaluation.views))
    by_phase: dict[str, dict[str, ViewFigures]] = {}
    for figures in evaluation.views:
        by_phase.setdefault(figures.label, {})[figures.sli] = figures
    return tuple(_group(label, known, slis) for label, known in by_phase.items())


def _group(label: str, known: Mapping[str, ViewFigures], slis: Sequence[str]) -> ViewGroup:
    nothing = ViewFigures(label=label, phase_index=0, sli="", unit="")
    rows = tuple(_row(known.get(sli, nothing.model_copy(update={"sli": sli}))) for sli in slis)
    beyond = [
        f"{row.title.lower()} beyond what is tolerated" for row in rows if row.within is False
    ]
    reasons = dict.fromkeys(row.reason for row in rows if row.reason)
    return ViewGroup(label=label, rows=rows, remark="; ".join([*beyond, *reasons]))


def _row(figures: ViewFigures) -> ViewRow:
    gap, tolerance = figures.gap_ratio, figures.tolerance_ratio
    known = gap is not None and tolerance is not None
    say = fmt.points if figures.sli == "errors" else fmt.percent
    name = figures.sli.removeprefix("latency.")
    return ViewRow(
        title=_TITLES.get(figures.sli, name),
        client=number(figures.client, figures.unit),
        mesh=number(figures.mesh, figures.unit),
        gap=Number(value=gap, unit="ratio", text=say(gap)),
        tolerance=Number(value=tolerance, unit="ratio", text=say(tolerance)),
        within=gap <= tolerance if known else None,  # type: ignore[operator]
        reason=figures.reason,
    )
