"""How full connection pools were, and whether breakers acted."""

from __future__ import annotations

from collections.abc import Sequence

from builders import ABORT, recording_of
from builders import plan_of as even_plan
from staged import SPIKE, answer_to, asked, mesh_of, recorded, series_of, signal, staged_plan

from runner.model.evaluation import Finding, Verdict
from runner.model.recording import PhaseSignal, Recording, Signals, SignalSeries
from runner.model.surroundings import PoolLimits, Surroundings

ORDERS = "order-api"
LIMITS = PoolLimits(service=ORDERS, connections=100, pending=50)


def pooled(
    *series: SignalSeries,
    refused: Sequence[PhaseSignal] = (),
    limits: tuple[PoolLimits, ...] | None = (LIMITS,),
    services: tuple[str, ...] = (ORDERS,),
) -> Recording:
    """A spike with these series, and refusals by phase."""
    plan = staged_plan(*SPIKE)
    signals = mesh_of(plan, services=services, series=series)
    return recorded(
        plan,
        signals=signals.model_copy(update={"phases": tuple(refused)}),
        surroundings=Surroundings(pools=limits),
    )


def headroom(recording: Recording) -> Finding:
    return answer_to("pool-headroom", recording)


def overflow(number: float | None, phase: int = 0, service: str = ORDERS) -> PhaseSignal:
    return signal(phase, "overflow", service, number)


CONNECTIONS = series_of("pool.connections", ORDERS, (0.0, 5.0), (1.0, 34.0), (2.0, None))
PENDING = series_of("pool.pending", ORDERS, (0.0, 0.0), (1.0, 40.0), (2.0, 1.0))


def test_use_against_limits() -> None:
    """The highest of each series; the fuller of the two is the figure; refusals add up."""
    finding = headroom(
        pooled(CONNECTIONS, PENDING, refused=[overflow(2.0), overflow(1.0, 1), overflow(None, 2)])
    )
    assert (finding.verdict, finding.observed, finding.unit) == (Verdict.PASS, 0.8, "ratio")
    assert finding.reason == (
        "order-api: at most 34 of 100 connections and 40 of 50 waiting, 3 requests refused for "
        "overflow. Connections are those of the calling proxy that had most."
    )


def test_unknown_limit_is_said() -> None:
    """Without a DestinationRule in the snapshot there is no share of anything."""
    finding = headroom(pooled(CONNECTIONS, refused=[overflow(0.0)], limits=None))
    assert finding.observed is None
    assert finding.reason.startswith(
        "order-api: at most 34 connections (limit not known), 0 requests refused for overflow."
    )


def test_refusals_are_known_where_pools_are_not() -> None:
    """As with Istio's proxies, which do not tell of pools unless they are asked to."""
    finding = headroom(pooled(refused=[overflow(0.0)]))
    assert finding.reason == ("order-api: connections not known, 0 requests refused for overflow.")


def test_pools_are_known_where_refusals_are_not() -> None:
    finding = headroom(pooled(CONNECTIONS, refused=[overflow(None)]))
    assert "at most 34 of 100 connections, refusals not known." in finding.reason


def test_service_without_data_is_not_empty() -> None:
    """One of two services has no figure at all: it is named, and not with 0."""
    finding = headroom(
        pooled(CONNECTIONS, refused=[overflow(0.0)], services=(ORDERS, "product-api"))
    )
    assert finding.reason.endswith("Not known: product-api (no data).")
    assert [(one.label, one.verdict) for one in finding.parts] == [
        (ORDERS, Verdict.PASS),
        ("product-api", Verdict.INCONCLUSIVE),
    ]


def test_nothing_known_is_no_answer() -> None:
    """Neither about pools nor about breakers."""
    recording = pooled()
    assert headroom(recording).verdict is Verdict.INCONCLUSIVE
    assert headroom(recording).reason == "No answer: neither pools nor refusals are on record."
    breaker = answer_to("breaker", recording)
    assert breaker.verdict is Verdict.INCONCLUSIVE
    assert breaker.reason == "No answer: neither ejected pods nor refusals are on record."


def test_those_that_refused_come_first_then_the_fullest() -> None:
    """Five services: the four that matter are told, the last one is counted."""
    names = ("a", "b", "c", "d", "e")
    used = {"a": 10.0, "b": 60.0, "c": 20.0, "d": 30.0, "e": 1.0}
    finding = headroom(
        pooled(
            *(series_of("pool.connections", name, (0.0, used[name])) for name in names),
            refused=[overflow(float(name == "c"), service=name) for name in names],
            limits=tuple(PoolLimits(service=name, connections=100) for name in names),
            services=names,
        )
    )
    told = [text.split(":")[0] for text in finding.reason.split("; ")]
    assert told[:4] == ["c", "b", "d", "a"]
    assert "; 1 more, less full." in finding.reason
    assert finding.observed == 0.6


def test_breaker_that_ejected_a_pod() -> None:
    ejected = series_of("pool.ejected", ORDERS, (0.0, 0.0), (65.0, 1.0), (70.0, 2.0))
    finding = answer_to("breaker", pooled(ejected, refused=[overflow(7.0)]))
    assert finding.reason == (
        "Yes. order-api: 2 pods ejected at once, first at 1m 5s; order-api: 7 requests refused by "
        "a full pool."
    )


def test_breaker_that_did_not_act() -> None:
    """No is an answer where both are known; where one is not, that is said as well."""
    idle = series_of("pool.ejected", ORDERS, (0.0, 0.0))
    said = "No: no pod was ejected, and no request was refused by a full pool."
    assert answer_to("breaker", pooled(idle, refused=[overflow(0.0)])).reason == said
    both = pooled(idle, refused=[overflow(0.0)], services=(ORDERS, "product-api"))
    assert answer_to("breaker", both).reason == f"{said} Not known in full: product-api."


def test_even_load_is_asked_about_only_if_a_pool_overflowed() -> None:
    plan = staged_plan((60, 50))
    for number, questions in ((0.0, []), (3.0, ["pool-headroom", "breaker"])):
        signals = Signals(services=(ORDERS,), phases=(overflow(number),))
        assert asked(recorded(plan, signals=signals)) == questions


def test_fault_asks_whether_the_breaker_acted() -> None:
    assert asked(recording_of(even_plan(faults=[ABORT]))) == ["affected-by-fault", "breaker"]
