"""The page that compares two runs: every text on it, made once. Pure; markup is not done here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import groupby
from typing import TypeVar

from runner.model.comparison import (
    Comparison,
    Condition,
    LoadPair,
    ObjectivePair,
    Pair,
    ServicePair,
    Side,
)
from runner.model.shape import Items, Model
from runner.reports import format as fmt
from runner.reports.overlay import Overlay
from runner.reports.pages import page
from runner.reports.text import Shown

P = TypeVar("P")

JUDGEMENTS = {
    "better": ("▲", "better"),
    "worse": ("▼", "worse"),
    "same": ("=", "same within noise"),
    "unknown": ("?", "cannot be said"),
}
"""Judgement to sign and words."""

_MISSING = {"": "", "first": "not in A", "second": "not in B"}
_TONES = {"better": "pass", "worse": "fail", "same": "none", "unknown": "inconclusive"}
ARROW = "→"
NOTABLE_RATIO = 0.10
"""Phases and endpoints have many figures; a smaller difference is not pointed at."""


class SideText(Model):
    """One of the runs, in words."""

    letter: str
    run_id: Shown
    experiment: Shown
    created: Shown
    kind: str
    word: str
    sentence: Shown
    href: str


class ConditionText(Model):
    """Something that two comparable runs have in common, or have not."""

    name: str
    first: Shown
    second: Shown
    kind: str
    sign: str
    word: str


class PairText(Model):
    """A figure in both runs; ``change`` is in percent, where that means something.

    Attributes:
        differs: Whether both are known and not equal.
        notable: Whether they differ by more than :data:`NOTABLE_RATIO`.
    """

    first: str
    second: str
    difference: str
    change: str
    differs: bool = False
    notable: bool = False


class ObjectiveText(Model):
    """An objective in both runs."""

    title: Shown
    bound: str
    observed: PairText
    where: Shown
    verdicts: Items[str]
    kind: str
    sign: str
    word: str


class LoadText(Model):
    """A phase in both runs; its figures in the order of :data:`COLUMNS`."""

    name: Shown
    missing: str
    figures: Items[PairText]


SERVICE_COLUMNS = ("Requests/s", "Errors", "p50", "p95", "p99", "CPU", "Memory")
COLUMNS = ("Requests/s", "Errors", "p50", "p95", "p99")


class ComparisonText(Model):
    """The page."""

    sides: Items[SideText]
    comparable: bool
    why_not: Items[Shown]
    caution: str
    conditions: Items[ConditionText]
    objectives: Items[ObjectiveText]
    phases: Items[LoadText]
    endpoints: Items[tuple[Shown, Items[LoadText]]]
    services: Items[tuple[Shown, Items[LoadText]]]
    charts: Items[Overlay]


def render_comparison(
    comparison: Comparison,
    charts: tuple[Overlay, ...],
    hrefs: tuple[str, str] = ("", ""),
    *,
    served: bool = False,
) -> str:
    """The page of ``comparison``.

    Args:
        comparison: What is known of the two runs.
        charts: Both over each other; may be empty.
        hrefs: Where their reports are, from where the page will be; empty for none.
        served: Whether ``seatrial serve`` shows it.
    """
    doc = comparison_text(comparison, charts, hrefs)
    return page(
        "compare.html.j2", served=served, doc=doc, columns=COLUMNS, service_columns=SERVICE_COLUMNS
    )


def comparison_text(
    comparison: Comparison, charts: tuple[Overlay, ...] = (), hrefs: tuple[str, str] = ("", "")
) -> ComparisonText:
    """Everything that any form of a comparison shows."""
    by_endpoint = _grouped(comparison.endpoints, lambda one: one.endpoint)
    by_service = _grouped(comparison.services, lambda one: one.service)
    return ComparisonText(
        sides=(
            _side("A", comparison.first, hrefs[0]),
            _side("B", comparison.second, hrefs[1]),
        ),
        comparable=comparison.comparable,
        why_not=comparison.why_not,
        caution=comparison.caution,
        conditions=tuple(_condition(one) for one in comparison.conditions),
        objectives=tuple(_objective(one) for one in comparison.objectives),
        phases=tuple(_load(one) for one in comparison.phases),
        endpoints=tuple((name, tuple(map(_load, rows))) for name, rows in by_endpoint),
        services=tuple(
            (name or "ingress", tuple(map(_service, rows))) for name, rows in by_service
        ),
        charts=charts,
    )


def _grouped(rows: Iterable[P], name: Callable[[P], str]) -> Iterable[tuple[str, Iterator[P]]]:
    return groupby(sorted(rows, key=name), key=name)


def _side(letter: str, side: Side, href: str) -> SideText:
    return SideText(
        letter=letter,
        run_id=side.run_id,
        experiment=side.experiment,
        created=_moment(side.created_at),
        kind=side.verdict.value,
        word=side.verdict.value,
        sentence=side.sentence,
        href=href,
    )


def _moment(iso: str) -> str:
    try:
        return fmt.utc(datetime.fromisoformat(iso).timestamp())
    except ValueError:
        return iso


def _condition(one: Condition) -> ConditionText:
    if one.same:
        kind, sign, word = "pass", "=", "same"
    elif one.needed:
        kind, sign, word = "fail", "≠", "differs: not comparable"
    else:
        kind, sign, word = "warn", "≠", "differs"
    if one.name in ("valid", "recording"):
        word = "as needed" if one.same else "not comparable"
        sign = "✓" if one.same else "✗"
    return ConditionText(
        name=one.name, first=one.first, second=one.second, kind=kind, sign=sign, word=word
    )


def pair_text(pair: Pair, unit: str) -> PairText:
    """A figure of both runs as people read it.

    The change of a ratio in percent would be taken for percentage points, and is left out.
    """
    ratio = None if unit == "ratio" else pair.difference_ratio
    difference = fmt.NOTHING
    if pair.difference is not None:
        difference = (
            _points(pair.difference) if unit == "ratio" else fmt.signed(pair.difference, unit)
        )
    return PairText(
        first=fmt.quantity(pair.first, unit),
        second=fmt.quantity(pair.second, unit),
        difference=difference,
        change="" if ratio is None else fmt.signed(ratio, "ratio"),
        differs=bool(pair.difference),
        notable=_notable(pair),
    )


def _notable(pair: Pair) -> bool:
    if pair.first is None or pair.second is None or pair.difference is None:
        return False
    return abs(pair.difference) > NOTABLE_RATIO * max(abs(pair.first), abs(pair.second))


def _points(difference: float) -> str:
    """A difference of two shares, in percentage points."""
    return fmt.signed(difference, "ratio").replace("%", "pp")


def _objective(one: ObjectivePair) -> ObjectiveText:
    sign, word = JUDGEMENTS[one.judgement]
    first, second = (
        fmt.quantity(one.bound.first, one.unit),
        fmt.quantity(one.bound.second, one.unit),
    )
    observed = pair_text(one.observed, one.unit)
    ratio = one.observed.difference_ratio
    if one.unit == "ratio" and ratio is not None:
        observed = observed.model_copy(update={"change": fmt.signed(ratio, "ratio")})
    return ObjectiveText(
        title=one.title,
        bound=first if first == second else f"{first} {ARROW} {second}",
        observed=observed,
        where=f" {ARROW} ".join(dict.fromkeys(filter(None, (one.where_first, one.where_second)))),
        verdicts=tuple(
            "" if verdict is None else verdict.value
            for verdict in (one.verdict_first, one.verdict_second)
        ),
        kind=_TONES[one.judgement],
        sign=sign,
        word=word,
    )


def _load(one: LoadPair) -> LoadText:
    figures = (
        (one.rate_per_s, "per_s"),
        (one.error_ratio, "ratio"),
        *((pair, "s") for pair in (one.p50_s, one.p95_s, one.p99_s)),
    )
    return LoadText(
        name=one.label,
        missing=_MISSING[one.missing],
        figures=tuple(pair_text(pair, unit) for pair, unit in figures),
    )


def _service(one: ServicePair) -> LoadText:
    figures = (
        (one.traffic_per_s, "per_s"),
        (one.error_ratio, "ratio"),
        *((pair, "s") for pair in (one.p50_s, one.p95_s, one.p99_s)),
        *((pair, "ratio") for pair in (one.cpu_ratio, one.memory_ratio)),
    )
    return LoadText(
        name=one.label,
        missing=_MISSING[one.missing],
        figures=tuple(pair_text(pair, unit) for pair, unit in figures),
    )
