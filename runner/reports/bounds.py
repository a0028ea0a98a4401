"""Which objective is drawn as a bound in which chart, and in which windows. No drawing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from runner.model.evaluation import Finding
from runner.model.objective import Bound, parse_bound
from runner.model.shape import Items, Model
from runner.reports import format as fmt


class BoundMark(Model):
    """A bound, drawn where it holds.

    Attributes:
        above: Whether the figure had to be above it.
        windows: ``(start_s, end_s)`` in which it was judged; phases that touch are one window.
    """

    label: str
    value: float
    above: bool
    windows: Items[tuple[float, float]]
    missed: bool


class DrawnBound(Model):
    """A bound with what decides in which charts it belongs."""

    bound: Bound
    source: str
    subject: str
    mark: BoundMark


def bounds_of(findings: Iterable[Finding]) -> Iterable[DrawnBound]:
    """The bound of each objective that charts can show."""
    for finding in findings:
        text, _, subject = finding.title.partition(" of ")
        if finding.kind != "objective" or finding.bound is None:
            continue
        try:
            bound = parse_bound(text)
        except ValueError:
            continue
        operator = {"<=": "≤", ">=": "≥"}.get(bound.operator, bound.operator)
        name = f"{bound.statistic} " if bound.statistic else ""
        what = bound.sli.removeprefix("saturation.").replace("cpu", "CPU")
        name = f"{what} " if bound.sli.startswith("saturation") else name
        yield DrawnBound(
            bound=bound,
            source=finding.source,
            subject=subject,
            mark=BoundMark(
                label=f"{name}{operator} {fmt.quantity(bound.value, bound.unit)}",
                value=bound.value,
                above=bound.operator in (">", ">="),
                windows=_touching((part.start_s, part.end_s) for part in finding.parts),
                missed=any(part.verdict == "fail" for part in finding.parts),
            ),
        )


def _touching(windows: Iterable[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """``windows`` with those that touch made one."""
    result: list[tuple[float, float]] = []
    for start_s, end_s in sorted(windows):
        if result and start_s <= result[-1][1]:
            result[-1] = (result[-1][0], max(result[-1][1], end_s))
        else:
            result.append((start_s, end_s))
    return tuple(result)


def marks_for(
    drawn: Sequence[DrawnBound], signal: str, source: str, subject: str
) -> Items[BoundMark]:
    """The bounds that concern ``signal`` of ``subject``, as ``source`` sees it."""
    chosen = [
        one.mark
        for one in drawn
        if one.bound.sli.split(".")[0] == signal
        and one.source == source
        and (one.subject == subject or (signal == "saturation" and not one.subject))
    ]
    return tuple(dict.fromkeys(chosen))
