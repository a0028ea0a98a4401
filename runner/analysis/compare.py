"""Two recorded runs compared: first whether they may be, then figure by figure. Pure.

Two single runs are no experiment: there is nothing to tell what repeats of either would have been.
So the words here claim little. A difference up to a rule of thumb is ``same``; the rule is generous
on purpose, and of shares of failures it is at least what counting alone makes uncertain.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, TypeVar

from runner.analysis.comparable import Subject, conditions_of, why_not
from runner.analysis.windows import phase_label
from runner.model.comparison import (
    Comparison,
    Judgement,
    LoadPair,
    ObjectivePair,
    Pair,
    ServicePair,
    Side,
)
from runner.model.evaluation import Evaluation, Finding, LoadFigures, SignalFigures, by_title

K = TypeVar("K")
V = TypeVar("V")

NOISE_RATIO = {"s": 0.30, "per_s": 0.10, "ratio": 0.15}
OTHER_NOISE_RATIO = 0.15
"""By unit: the share of the larger figure by which repeats of one run may differ as well. Of three
runs of one unchanged ``first-voyage`` on a quiet machine of two CPUs, any two differed by at most
7 % in a phase's p95 and 10 % in its p99 and rate; in an endpoint's p95 by 16 %, its p99 by 26 %."""

NOISE_S = 0.001
"""Latencies that differ by less than a millisecond are not told apart."""

DEVIATIONS = 2.0
"""Standard deviations of a share that counting alone makes uncertain."""


def compare(first: Subject, second: Subject) -> Comparison:
    """Everything that can be said about ``first`` and ``second``."""
    conditions = conditions_of(first, second)
    against = [why_not(one) for one in conditions if one.needed and not one.same]
    comparable = not against
    return Comparison(
        first=_side(first),
        second=_side(second),
        comparable=comparable,
        why_not=tuple(against),
        conditions=conditions,
        objectives=_objectives(first.evaluation, second.evaluation, comparable=comparable),
        phases=_loads(first.evaluation.phases, second.evaluation.phases),
        endpoints=_loads(first.evaluation.endpoints, second.evaluation.endpoints),
        services=_services(first, second),
    )


def _side(subject: Subject) -> Side:
    return Side(
        run_id=subject.manifest.run_id,
        experiment=subject.manifest.experiment,
        created_at=subject.manifest.created_at,
        state=subject.manifest.state,
        verdict=subject.evaluation.verdict,
        valid=subject.evaluation.valid,
        sentence=subject.evaluation.sentence,
        judged_by=subject.evaluation.judged_by,
    )


# -- objectives ------------------------------------------------------------------------------------


def _objectives(
    first: Evaluation, second: Evaluation, *, comparable: bool
) -> tuple[ObjectivePair, ...]:
    one, two = (
        by_title(finding for finding in judged.findings if finding.kind == "objective")
        for judged in (first, second)
    )
    return tuple(
        _objective(one.get(key), two.get(key), comparable=comparable)
        for key in dict.fromkeys([*one, *two])
    )


def _objective(first: Finding | None, second: Finding | None, *, comparable: bool) -> ObjectivePair:
    known = first or second
    if known is None:
        raise ValueError("an objective of no run")
    observed = Pair.of(*(one.observed if one else None for one in (first, second)))
    noise = noise_of(first, second)
    judgement: Judgement = "unknown"
    if comparable and noise is not None and observed.difference is not None:
        judgement = judged(observed.difference, noise, known.operator)
    return ObjectivePair(
        title=known.title,
        unit=known.unit,
        operator=known.operator,
        where_first=first.where if first else "",
        where_second=second.where if second else "",
        bound=Pair.of(*(one.bound if one else None for one in (first, second))),
        observed=observed,
        noise=noise,
        verdict_first=first.verdict if first else None,
        verdict_second=second.verdict if second else None,
        judgement=judgement,
    )


def noise_of(first: Finding | None, second: Finding | None) -> float | None:
    """Up to which difference one run each says nothing; None where either has no figure.

    The same whichever run comes first.
    """
    if first is None or second is None or first.observed is None or second.observed is None:
        return None
    figures = (abs(first.observed), abs(second.observed))
    least = NOISE_RATIO.get(first.unit, OTHER_NOISE_RATIO) * max(figures)
    if first.unit == "s":
        return max(least, NOISE_S, _spread(first), _spread(second))
    if first.unit == "ratio" and first.title.startswith("errors"):
        variance = sum(_variance(one) for one in (first, second))
        return max(least, DEVIATIONS * math.sqrt(variance))
    return least


def _spread(finding: Finding) -> float:
    """By how much the windows of one objective differ within one run.

    Not of one about services: these differ from each other for reasons of their own.
    """
    seen = [part.observed for part in finding.parts if part.observed is not None]
    return 0.0 if finding.service or not seen else max(seen) - min(seen)


def _variance(finding: Finding) -> float:
    """Of a share of so many requests, as if each failed by itself.

    Of a share of 0 or 1 it would be 0; the rule of succession (Laplace) keeps it above.
    """
    if finding.observed is None or not finding.samples or finding.samples <= 0:
        return 0.0
    share = min(1.0, max(0.0, finding.observed))
    share = (share * finding.samples + 1) / (finding.samples + 2)
    return share * (1 - share) / finding.samples


def judged(difference: float, noise: float, operator: str) -> Judgement:
    """In which direction the second run differs, if by more than ``noise``."""
    if not math.isfinite(difference) or not operator:
        return "unknown"
    if abs(difference) <= noise:
        return "same"
    return "better" if (difference < 0) == operator.startswith("<") else "worse"


# -- the load --------------------------------------------------------------------------------------


def _loads(first: Sequence[LoadFigures], second: Sequence[LoadFigures]) -> tuple[LoadPair, ...]:
    one, two = _by_place(first), _by_place(second)
    return tuple(_load_pair(key, one.get(key), two.get(key)) for key in _merged(one, two))


def _by_place(figures: Iterable[LoadFigures]) -> dict[tuple[str, str], LoadFigures]:
    return {(one.label, one.endpoint): one for one in figures}


def _merged(one: dict[K, V], two: dict[K, V]) -> list[K]:
    """The keys of both: those of the first in their order, then what only the second has."""
    return list(dict.fromkeys([*one, *two]))


def _load_pair(
    key: tuple[str, str], first: LoadFigures | None, second: LoadFigures | None
) -> LoadPair:
    def pair(of: Callable[[LoadFigures], float | None]) -> Pair:
        return Pair.of(*(of(one) if one else None for one in (first, second)))

    return LoadPair(
        label=key[0],
        endpoint=key[1],
        missing=_missing(first, second),
        requests=pair(lambda one: float(one.requests)),
        rate_per_s=pair(lambda one: one.rate_per_s),
        error_ratio=pair(lambda one: one.error_ratio),
        p50_s=pair(lambda one: one.p50_s),
        p95_s=pair(lambda one: one.p95_s),
        p99_s=pair(lambda one: one.p99_s),
    )


_SIGNALS = ("traffic_per_s", "error_ratio", "p50_s", "p95_s", "p99_s", "cpu_ratio", "memory_ratio")


def _services(first: Subject, second: Subject) -> tuple[ServicePair, ...]:
    one, two = _by_service(first), _by_service(second)
    pairs = []
    for label, service in _merged(one, two):
        figures = (one.get((label, service)), two.get((label, service)))
        pairs.append(
            ServicePair(
                label=label,
                service=service,
                missing=_missing(*figures),
                **{
                    name: Pair.of(*(getattr(found, name) if found else None for found in figures))
                    for name in _SIGNALS
                },
            )
        )
    return tuple(pairs)


def _by_service(subject: Subject) -> dict[tuple[str, str], SignalFigures]:
    """Figures by the label of their phase and by service; those of windows are left out."""
    phases = {phase.index: phase for phase in subject.plan.phases}
    return {
        (phase_label(subject.plan, phases[one.phase_index]), one.service): one
        for one in subject.evaluation.signals
        if one.phase_index in phases
    }


def _missing(first: object, second: object) -> Literal["", "first", "second"]:
    if first is None:
        return "first"
    return "second" if second is None else ""
