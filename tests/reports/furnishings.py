"""What an evaluation and its signals may hold beside the usual: made by hand, to be drawn."""

from __future__ import annotations

from dataclasses import replace

from runner.model.alertspan import AlertSpan
from runner.model.evaluation import (
    BudgetFigures,
    BurnFigure,
    Evaluation,
    Finding,
    Part,
    RecoveryFigure,
    Reference,
    ScoreFigures,
    Verdict,
    ViewFigures,
)
from runner.model.ownsignal import OwnSignal
from runner.model.recording import Event, Recording, SignalSeries, WorkerEvent

RELATIVE = Finding(
    kind="objective",
    check="objective",
    title="latency.p99 <= baseline + 10% for 10s",
    verdict=Verdict.PASS,
    reason="p99 stayed below what the baseline allows.",
    where="recovery 1",
    phase="recovery",
    source="client",
    operator="<=",
    observed=0.105,
    bound=0.11,
    unit="s",
    margin_ratio=0.045,
    samples=1200,
    weight=2.0,
    key=True,
    reference=Reference(name="baseline", observed=0.1, samples=900),
    parts=(Part(label="recovery 1", start_s=22, end_s=39, verdict=Verdict.PASS, observed=0.105),),
)
QUEUE = Finding(
    kind="objective",
    check="objective",
    title="signal.queue < 5.5",
    verdict=Verdict.FAIL,
    reason="The queue was too long.",
    where="fault",
    source="mesh",
    operator="<",
    observed=14.4,
    bound=5.5,
    unit="count",
    margin_ratio=-1.62,
    samples=20,
    parts=(Part(label="fault", start_s=15, end_s=22, verdict=Verdict.FAIL, observed=14.4),),
)
RECOVERY = RecoveryFigure(
    after="01-pod-kill",
    start_s=15.0,
    end_s=39.0,
    seconds=4.0,
    window_s=5.0,
    holds=(False, False, True, False, *(True,) * 15),
    titles=("latency.p95 < 300ms", "errors < 0.5%"),
)
UNSEEN = RecoveryFigure(
    after="02-http-abort",
    start_s=46.5,
    end_s=60.0,
    window_s=5.0,
    holds=(False,) * 9,
    titles=("errors < 0.5%",),
    reason="the objectives did not hold again within the 14 s that were seen",
)
BUDGET = BudgetFigures(
    slo_ratio=0.9995,
    period_s=28 * 86400.0,
    allowed=120_960,
    failed=120,
    share_ratio=120 / 120_960,
    phases=(
        BurnFigure(
            label="baseline", phase_index=1, start_s=5, end_s=15, requests=980, failures=0, rate=0.0
        ),
        BurnFigure(
            label="fault 01-pod-kill",
            phase_index=2,
            start_s=15,
            end_s=22,
            requests=700,
            failures=20,
            rate=57.1,
        ),
        BurnFigure(
            label="recovery 1",
            phase_index=3,
            start_s=22,
            end_s=39,
            requests=1700,
            failures=2,
            rate=2.35,
        ),
        BurnFigure(label="recovery 2", phase_index=5, start_s=46, end_s=60, requests=0, failures=0),
    ),
)
VIEWS = (
    ViewFigures(
        label="baseline",
        phase_index=1,
        sli="traffic",
        unit="per_s",
        client=98.0,
        mesh=97.5,
        gap_ratio=0.0051,
        tolerance_ratio=0.05,
    ),
    ViewFigures(
        label="baseline",
        phase_index=1,
        sli="errors",
        unit="ratio",
        client=0.02,
        mesh=0.0,
        gap_ratio=0.02,
        tolerance_ratio=0.01,
        reason="timeouts are failures to the load only",
    ),
    ViewFigures(
        label="baseline",
        phase_index=1,
        sli="latency.p95",
        unit="s",
        client=0.058,
        mesh=0.051,
        gap_ratio=0.12,
    ),
)
SCORE = ScoreFigures(reached=8.5, possible=10, share_ratio=0.85, pass_ratio=0.9, warn_ratio=0.75)
ALERTS = (
    AlertSpan(
        name="HighErrorRate",
        severity="critical",
        state="pending",
        labels={"service": "payment-api"},
        start_s=41,
        end_s=44,
    ),
    AlertSpan(
        name="HighErrorRate",
        severity="critical",
        state="firing",
        labels={"service": "payment-api"},
        start_s=44,
        end_s=52,
    ),
    AlertSpan(name="SlowOrders", severity="warning", state="pending", start_s=-4, end_s=9),
)


def furnished(evaluation: Evaluation) -> Evaluation:
    """``evaluation`` with a figure of each kind."""
    return evaluation.model_copy(
        update={
            "findings": (RELATIVE, QUEUE, *evaluation.findings),
            "recoveries": (RECOVERY, UNSEEN),
            "budget": BUDGET,
            "views": VIEWS,
            "score": SCORE,
        }
    )


def watched(recording: Recording) -> Recording:
    """``recording`` with alerts, an own signal, a guard that spoke and a worker that was lost."""
    assert recording.signals is not None
    duration_s = recording.plan.duration_s
    queue = SignalSeries(
        sli="signal.queue",
        service="",
        unit="count",
        query="max(queue_depth)",
        step_s=1.0,
        points=tuple((float(at), 14.4 if 15 <= at < 22 else 2.5) for at in range(int(duration_s))),
        state="ok",
    )
    signals = recording.signals.model_copy(
        update={
            "alerts": ALERTS,
            "alerts_missing": "",
            "rules": ("HighErrorRate", "SlowOrders"),
            "series": (*recording.signals.series, queue),
        }
    )
    own = {"queue": OwnSignal(promql="max(queue_depth)", description="Orders that wait.")}
    experiment = recording.plan.experiment.model_copy(update={"signals": own})
    said = Event(
        wall_s=0.0,
        offset_s=50.0,
        source="guard",
        action="abort",
        kind="note",
        detail="errors > 60% held for 10 s",
    )
    return replace(
        recording,
        signals=signals,
        plan=recording.plan.model_copy(update={"experiment": experiment}),
        events=(*recording.events, said),
        load=replace(recording.load, workers=(WorkerEvent(second=30, worker="w1", what="lost"),)),
    )
