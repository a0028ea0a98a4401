"""Validity of the open model's load: arrivals that came as planned, and workers that stayed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from builders import reasons, recording_of
from staged import staged_plan

from runner.analysis.evaluate import evaluate
from runner.model.evaluation import Verdict
from runner.model.histogram import bucket_of
from runner.model.plan import Plan
from runner.model.recording import ArrivalSecond, Recording, WorkerEvent

RATE = 50
PUNCTUAL = {bucket_of(802): RATE}
GOOD = ArrivalSecond(RATE, RATE, 0, 0, RATE, PUNCTUAL)
MORE_POWER = "use --workers, a machine with more processors, or a lower rate"


def plan_at(rate: int = RATE, warmup: str = "5s") -> Plan:
    return staged_plan((60, rate), unit="rate", warmup=warmup)


def arrived(
    changed: Mapping[int, ArrivalSecond] | None = None,
    plan: Plan | None = None,
    usual: ArrivalSecond = GOOD,
) -> Recording:
    """A minute at 50/s of which the first 5 s are warmup, with some seconds ``changed``."""
    recording = recording_of(plan or plan_at())
    arrivals = dict.fromkeys(range(60), usual) | dict(changed or {})
    return replace(recording, load=replace(recording.load, arrivals=arrivals))


def found(recording: Recording, check: str) -> tuple[str, str]:
    finding = reasons(evaluate(recording).findings, check)
    return finding["verdict"], finding["reason"]


def test_a_load_that_came_as_planned_passes_every_check() -> None:
    recording = arrived()
    assert found(recording, "load-delivered") == (
        "pass",
        "2,750 arrivals of 2,750 planned ones were started in baseline.",
    )
    assert found(recording, "arrivals-kept") == (
        "pass",
        "A user was free for each of 2,750 arrivals.",
    )
    assert found(recording, "sent-in-time") == (
        "pass",
        "99 of 100 arrivals were started within 802 µs of their time in baseline.",
    )


@pytest.mark.parametrize(("missing", "verdict"), [(28, "pass"), (29, "inconclusive")])
def test_one_arrival_in_a_hundred_may_be_missing(missing: int, verdict: str) -> None:
    """2,750 planned: 99 % are 2,722.5, and one more may have come on either side of the edge."""
    short = replace(GOOD, started=RATE - missing)
    assert found(arrived({20: short}), "load-delivered")[0] == verdict


def test_a_generator_that_starts_too_few_was_the_limit() -> None:
    half = replace(GOOD, offered=25, started=25)
    recording = arrived(dict.fromkeys(range(20, 40), half))
    assert found(recording, "load-delivered") == (
        "inconclusive",
        "The generator was the limit, or its pool of users: 2,250 arrivals of 2,750 planned ones "
        f"were started in baseline; raise max_in_flight above 100, or {MORE_POWER}.",
    )
    assert evaluate(recording).verdict is Verdict.INCONCLUSIVE


def test_at_a_low_rate_an_arrival_on_the_edge_is_none_that_is_missing() -> None:
    """One a second from 0 s on: the first is due at 1 s, so 59 come in a minute."""
    one = ArrivalSecond(1, 1, 0, 0, 1, {bucket_of(802): 1})
    recording = arrived({0: ArrivalSecond()}, plan_at(1, "0s"), one)
    assert found(recording, "load-delivered") == (
        "pass",
        "59 arrivals of 60 planned ones were started in baseline.",
    )
    missing = arrived({0: ArrivalSecond(), 30: ArrivalSecond(offered=1)}, plan_at(1, "0s"), one)
    assert found(missing, "load-delivered")[0] == "inconclusive"


def test_the_warmup_is_not_judged() -> None:
    bad = ArrivalSecond(RATE, 1, 1, 40, 1, {bucket_of(9_000_000): 1})
    recording = arrived(dict.fromkeys(range(5), bad))
    verdicts = {found(recording, check)[0] for check in ("load-delivered", "sent-in-time")}
    assert verdicts == {"pass"}
    assert found(recording, "arrivals-kept")[0] == "pass"


def test_a_plan_without_an_arrival_proves_nothing() -> None:
    plan = staged_plan((30, RATE), (30, 0), unit="rate", warmup="30s")
    verdict, reason = found(arrived(plan=plan), "load-delivered")
    assert (verdict, reason) == (
        "inconclusive",
        "No arrival was planned after the warmup, so nothing was tried.",
    )


def test_nobody_counted_arrivals() -> None:
    """Goal: no data is never a pass. Method: a record that ended before the first arrival."""
    recording = arrived()
    recording = replace(recording, load=replace(recording.load, arrivals={}))
    assert found(recording, "load-delivered")[0] == "inconclusive"
    assert found(recording, "arrivals-kept") == (
        "inconclusive",
        "No arrival is on record after the warmup.",
    )
    assert found(recording, "sent-in-time") == (
        "warn",
        "Nobody took down how late arrivals were started.",
    )


@pytest.mark.parametrize(
    ("waited", "dropped", "verdict", "begins"),
    [
        (27, 0, "pass", "A user was free"),  # 1 % of 2,750
        (28, 0, "warn", "28 arrivals of 2,750 had to wait because no user was free: all 100 "),
        (0, 1, "warn", "1 arrival of 2,750 was given up because no user was free: all 100 "),
        (0, 2, "warn", "2 arrivals of 2,750 were given up because no user was free: all 100 "),
        (0, 3, "inconclusive", "The generator was the limit: 3 arrivals of 2,750 were given up"),
        (50, 1, "warn", "1 arrival of 2,750 was given up"),
    ],
)
def test_arrivals_that_waited_or_were_given_up(
    waited: int, dropped: int, verdict: str, begins: str
) -> None:
    second = replace(GOOD, waited=waited, dropped=dropped)
    told = found(arrived({20: second}), "arrivals-kept")
    assert told[0] == verdict
    assert told[1].startswith(begins)
    if verdict != "pass":
        assert "(max_in_flight) were busy" in told[1]


@pytest.mark.parametrize(
    ("late", "verdict"), [(27, "pass"), (28, "inconclusive")], ids=["one in a hundred", "more"]
)
def test_a_generator_that_is_late_is_in_all_that_was_measured(late: int, verdict: str) -> None:
    """2,750 arrivals: the 27 slowest are above the p99. 200 ms late is twice the bound."""
    second = replace(GOOD, late_us={bucket_of(802): RATE - late, bucket_of(200_000): late})
    told = found(arrived({20: second}), "sent-in-time")
    assert told[0] == verdict
    if verdict == "inconclusive":
        assert told[1] == (
            "The generator was the limit: 99 of 100 arrivals were started within 200 ms of their "
            f"time in baseline, which is in all that was measured; {MORE_POWER}."
        )


@pytest.mark.parametrize(("dropped", "verdict"), [(2, "warn"), (3, "inconclusive")])
def test_what_is_given_up_at_the_end_of_the_load_is_no_secret(dropped: int, verdict: str) -> None:
    """Goal: arrivals that waited to the very end. Method: given up in the second after it."""
    recording = arrived({60: ArrivalSecond(0, 0, 0, dropped, 4, {})})
    said, reason = found(recording, "arrivals-kept")
    assert said == verdict
    assert f"{dropped} arrivals of 2,750 were given up" in reason


JOINED = (WorkerEvent(0, "1", "joined"), WorkerEvent(0, "2", "joined"))


def with_workers(*events: WorkerEvent) -> Recording:
    recording = arrived()
    return replace(recording, load=replace(recording.load, workers=events))


def test_a_generator_of_one_process_says_nothing_of_workers() -> None:
    checks = {finding.check for finding in evaluate(arrived()).findings}
    assert "workers-stayed" not in checks


def test_workers_that_stayed() -> None:
    assert found(with_workers(*JOINED), "workers-stayed") == (
        "pass",
        "2 workers made the load from start to end.",
    )


@pytest.mark.parametrize("what", ["lost", "back"])
def test_a_worker_that_was_lost_makes_the_run_inconclusive(what: str) -> None:
    event = WorkerEvent(12, "2", what)  # type: ignore[arg-type]
    verdict, reason = found(with_workers(*JOINED, event), "workers-stayed")
    assert verdict == "inconclusive"
    assert reason.startswith("The generator was the limit: worker 2 ")
    assert reason.endswith(
        "What a lost worker had not reported is missing from the record; see its log, and run "
        "again."
    )
    assert evaluate(with_workers(*JOINED, event)).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("joined", "lost", "said"),
    [
        (3, 1, "worker 1 was lost at 9 s; the others took its share. What"),
        (3, 2, "worker 1 was lost at 9 s; worker 2 was lost at 9 s; the others took their share."),
        (2, 2, "worker 1 was lost at 9 s; worker 2 was lost at 9 s; nobody was left. What a lost"),
        (1, 1, "worker 1 was lost at 9 s; nobody was left. What a lost worker had not reported"),
    ],
)
def test_who_takes_the_share_of_those_that_were_lost(joined: int, lost: int, said: str) -> None:
    """Goal: no others where there are none. Method: some of the workers, and all of them, lost."""
    names = [str(number) for number in range(1, joined + 1)]
    events = [WorkerEvent(0, name, "joined") for name in names]
    events += [WorkerEvent(9, name, "lost") for name in names[:lost]]
    _, reason = found(with_workers(*events), "workers-stayed")
    assert reason.startswith(f"The generator was the limit: {said}")


def test_a_worker_that_came_too_late_is_a_warning() -> None:
    event = WorkerEvent(12, "3", "late")
    assert found(with_workers(*JOINED, event), "workers-stayed") == (
        "warn",
        "Worker 3 came at 12 s, too late, and was sent away.",
    )
