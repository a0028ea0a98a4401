"""How full connection pools were, and whether breakers acted. Pure.

A pool belongs to one calling proxy; the figures are those of the fullest. Connections are known
where proxies tell of them (the sandbox's do, Istio's where they are asked to), limits from the
DestinationRules of before the load, refusals from the flags that the mesh counts by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runner.analysis.checks import has_pods
from runner.analysis.question import Question
from runner.analysis.words import count, figure, listed, moment
from runner.model.evaluation import Finding, Part, Verdict
from runner.model.recording import Recording, Signals
from runner.model.surroundings import PoolLimits

CONNECTIONS, PENDING, EJECTED, OVERFLOW = (
    "pool.connections",
    "pool.pending",
    "pool.ejected",
    "overflow",
)
_MOST_NAMED = 12
_FULLEST = 4


@dataclass(frozen=True, slots=True)
class PoolUse:
    """What is known of the pools towards one service; None where it is not.

    Attributes:
        connections: Most connections of one proxy at once.
        pending: Most requests that waited for one in one proxy.
        refused: Requests that were refused because the pool was full.
        ejected: Most pods that one proxy had ejected at once.
        ejected_at_s: When first.
        limits: What the DestinationRule allows.
    """

    service: str
    connections: float | None
    pending: float | None
    refused: float | None
    ejected: float | None
    ejected_at_s: float | None
    limits: PoolLimits | None

    @property
    def full_ratio(self) -> float | None:
        """The larger share of a limit that was used; None when no limit or no use is known."""
        limits = self.limits or PoolLimits(service=self.service)
        pairs = ((self.connections, limits.connections), (self.pending, limits.pending))
        shares = [used / most for used, most in pairs if used is not None and most]
        return max(shares, default=None)

    @property
    def known(self) -> bool:
        """Whether anything is known about the pool."""
        return not (self.connections is None and self.refused is None)


def pool_uses(recording: Recording) -> tuple[PoolUse, ...]:
    """The pools towards each service of the cluster."""
    signals = recording.signals
    if signals is None:
        return ()
    return tuple(
        PoolUse(
            service=name,
            connections=_most(signals, CONNECTIONS, name)[0],
            pending=_most(signals, PENDING, name)[0],
            refused=_refused(signals, name),
            ejected=(ejected := _most(signals, EJECTED, name))[0],
            ejected_at_s=ejected[1],
            limits=recording.surroundings.pool_of(name),
        )
        for name in signals.services
        if has_pods(name)
    )


def _most(signals: Signals, sli: str, service: str) -> tuple[float | None, float | None]:
    """The highest value of a series, and when it was first above 0."""
    for one in signals.series:
        if (one.sli, one.service) == (sli, service):
            known = [(at_s, value) for at_s, value in one.points if value is not None]
            first = next((at_s for at_s, value in known if value > 0), None)
            return max((value for _, value in known), default=None), first
    return None, None


def _refused(signals: Signals, service: str) -> float | None:
    known = [
        one.value
        for one in signals.phases
        if (one.sli, one.service) == (OVERFLOW, service) and one.value is not None
    ]
    return sum(known) if known else None


def pool_headroom(uses: Sequence[PoolUse], end_s: float, *, varied: bool) -> Finding | None:
    """How full the pools were; None when nobody would ask.

    Args:
        uses: The pools.
        end_s: Offset at which the run ended.
        varied: Whether the load was uneven, so that one asks for headroom.
    """
    if not varied and not any(one.refused for one in uses):
        return None
    question = Question("pool-headroom", "How full were the connection pools?")
    known = sorted(
        (one for one in uses if one.known), key=lambda one: (-(one.refused or 0), -_fullness(one))
    )
    if not known:
        return question.open("No answer: neither pools nor refusals are on record.")
    texts = [f"{one.service}: {_use(one)}" for one in known]
    unknown = [one.service for one in uses if not one.known]
    more = f"; {len(texts) - _FULLEST} more, less full" if len(texts) > _FULLEST else ""
    reason = f"{'; '.join(texts[:_FULLEST])}{more}."
    if any(one.connections is not None for one in known):
        reason += " Connections are those of the calling proxy that had most."
    if unknown:
        reason += f" Not known: {listed(unknown, _MOST_NAMED)} (no data)."
    parts = [
        Part(
            label=one.service,
            start_s=0.0,
            end_s=end_s,
            verdict=Verdict.PASS if one.known else Verdict.INCONCLUSIVE,
            observed=one.full_ratio,
            reason=_use(one) if one.known else "no data",
        )
        for one in (*known, *(one for one in uses if not one.known))
    ]
    fullest = max((one.full_ratio for one in known if one.full_ratio is not None), default=None)
    return question.answered(reason, fullest, "ratio", parts)


def _fullness(one: PoolUse) -> float:
    return -1.0 if one.full_ratio is None else one.full_ratio


def _use(one: PoolUse) -> str:
    limits = one.limits or PoolLimits(service=one.service)
    texts = [
        _of(one.connections, limits.connections, "connections"),
        _of(one.pending, limits.pending, "waiting"),
    ]
    used = " and ".join(filter(None, texts))
    refused = "refusals not known"
    if one.refused is not None:
        refused = f"{count(one.refused, 'request')} refused for overflow"
    return f"{f'at most {used}' if used else 'connections not known'}, {refused}"


def _of(used: float | None, most: int | None, noun: str) -> str:
    if used is None:
        return ""
    if most is None:
        return f"{figure(used, 'count')} {noun} (limit not known)"
    return f"{figure(used, 'count')} of {figure(most, 'count')} {noun}"


def breakers_acted(uses: Sequence[PoolUse], *, asked: bool) -> Finding | None:
    """Whether circuit breakers acted: pods ejected, or requests refused; None when nobody asks.

    Args:
        uses: The pools.
        asked: Whether there was something that they might act on: a fault, or an uneven load.
    """
    ejecting = [one for one in uses if one.ejected]
    refusing = [one for one in uses if one.refused]
    if not asked and not ejecting and not refusing:
        return None
    question = Question("breaker", "Did the circuit breaker act?")
    texts = [
        f"{one.service}: {count(one.ejected or 0, 'pod')} ejected at once, first at "
        f"{moment(one.ejected_at_s or 0.0)}"
        for one in ejecting
    ]
    texts += [
        f"{one.service}: {count(one.refused or 0, 'request')} refused by a full pool"
        for one in refusing
    ]
    seen = [one.service for one in uses if one.ejected is not None and one.refused is not None]
    blind = [one.service for one in uses if one.service not in seen]
    if texts:
        return question.answered(f"Yes. {'; '.join(texts[:_MOST_NAMED])}.{_blind(blind)}")
    if not seen:
        return question.open("No answer: neither ejected pods nor refusals are on record.")
    return question.answered(
        f"No: no pod was ejected, and no request was refused by a full pool.{_blind(blind)}"
    )


def _blind(services: Sequence[str]) -> str:
    if not services:
        return ""
    return f" Not known in full: {listed(services, _MOST_NAMED)}."
