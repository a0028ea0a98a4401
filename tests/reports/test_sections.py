"""Recoveries, budget, views, score, alerts and events: what the document says of them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from furnishings import ALERTS, BUDGET, RECOVERY, SCORE, UNSEEN, VIEWS, furnished, watched
from voyages import HOSTILE, Voyage, write_run

from runner.model.evaluation import Evaluation, Finding, Part, Verdict, ViewFigures
from runner.model.objective import Objective
from runner.model.recording import Event, Recording
from runner.reports.budget import budget_story
from runner.reports.document import Document, build_document
from runner.reports.html import render_page
from runner.reports.markdown import render_markdown
from runner.reports.moments import alert_story, moments_of, side_of
from runner.reports.recoveries import recovery_rows
from runner.reports.score import score_story
from runner.reports.views import view_groups


@cache
def voyage() -> tuple[Recording, Evaluation]:
    with TemporaryDirectory() as folder:
        run = write_run(Path(folder), Voyage(length_s=60, services=("order-api", "payment-api")))
        recording, evaluation = run.recording(), run.read_evaluation()
    return watched(recording), furnished(evaluation)


@cache
def document() -> Document:
    return build_document(*voyage())


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


# -- recoveries ------------------------------------------------------------------------------------


def test_a_strip_shows_each_second_and_where_it_held_again() -> None:
    """Goal: the strip is the series. Method: 3 of 19 seconds bad, recovered after 4 s."""
    row, _ = document().recoveries
    assert (row.after, row.number, row.clock, row.seconds.value) == ("01-pod-kill", 1, "00:15", 4.0)
    assert row.shown_s == 24.0, "1.6 times the bound of 15 s"
    assert [(one.holds, round(one.width_percent * 0.24, 1)) for one in row.strip] == [
        *((False, 2.0), (True, 1.0), (False, 1.0), (True, 15.0))
    ]
    assert row.again_percent == pytest.approx(100 * 4 / 24, abs=0.01)
    (limit,) = row.limits
    assert plain(limit.text) == "< 15 s"
    assert (limit.left_percent, limit.verdict) == (62.5, Verdict.PASS)
    assert plain(row.about) == (
        "After 01-pod-kill, the objectives held again 4 s later. They did not hold in 3 of 19 "
        "seconds that were judged. Bound < 15 s: kept."
    )
    assert row.titles == ("latency.p95 < 300ms", "errors < 0.5%")


def test_a_recovery_that_was_not_seen_says_why() -> None:
    _, row = document().recoveries
    assert (row.seconds.value, row.again_percent) == (None, None)
    assert row.about.startswith(
        "After 02-http-abort, no recovery was seen: the objectives did not hold again within"
    )


def test_a_bound_belongs_to_the_recovery_that_it_means() -> None:
    """Goal: no verdict on a strip that nobody judged. Method: a recovery by other promises."""
    other = RECOVERY.model_copy(update={"titles": ("errors < 1%",)})
    _, evaluation = voyage()
    both = evaluation.model_copy(update={"recoveries": (RECOVERY, other)})
    plain_one = Objective.model_validate("recovery < 15s")
    meant = Objective.model_validate({"objective": "recovery < 15s", "until": ["errors < 1%"]})
    assert [len(row.limits) for row in recovery_rows(both, [plain_one])] == [1, 1]
    assert [len(row.limits) for row in recovery_rows(both, [meant])] == [0, 1]


def test_of_many_kills_each_strip_has_its_own_verdict() -> None:
    """Goal: a quick recovery is not blamed for the worst. Method: 4 s and 20 s, bound 15 s."""
    _, evaluation = voyage()
    part = Part(label="after 01-pod-kill", start_s=15, end_s=60, verdict=Verdict.FAIL, observed=20)
    missed = Finding(
        kind="objective",
        check="objective",
        title="recovery < 15s",
        verdict=Verdict.FAIL,
        reason="",
        parts=(part,),
    )
    slow = RECOVERY.model_copy(update={"seconds": 20.0})
    spike = RECOVERY.model_copy(update={"after": "spike"})
    rows = recovery_rows(
        evaluation.model_copy(update={"findings": (missed,), "recoveries": (RECOVERY, slow, spike)})
    )
    verdicts = [[limit.verdict for limit in row.limits] for row in rows]
    assert verdicts == [[Verdict.PASS], [Verdict.FAIL], []]
    assert rows[2].about.startswith("After the spike, the objectives held again 4")


def test_a_long_calm_after_a_recovery_is_cut_off() -> None:
    """Goal: 4 s are not a hair's breadth of an hour. Method: an hour without trouble."""
    calm = RECOVERY.model_copy(update={"end_s": 3615.0, "holds": (False, *(True,) * 3594)})
    _, evaluation = voyage()
    (row,) = recovery_rows(evaluation.model_copy(update={"recoveries": (calm,)}))
    assert row.shown_s == 24.0
    assert sum(one.width_percent for one in row.strip) == pytest.approx(100)


# -- budget, views, score --------------------------------------------------------------------------


def test_the_budget_keeps_the_nines_of_its_objective() -> None:
    story = budget_story(BUDGET)
    assert plain(story.sentence) == (
        "At 99.95 % in 28 days, 120,960 requests may fail. 120 requests failed in this run, which "
        "is 0.099 % of that budget."
    )
    assert [row.pace for row in story.phases] == ["calm", "blazing", "slow", "calm"]
    assert [row.rate.text for row in story.phases] == ["0×", "57.1×", "2.35×", "–"]
    assert [plain(row.lasts) for row in story.phases] == [
        *("for ever", "11h 46m 8s", "11.9 days", "–")
    ]
    at = {text: percent for percent, text in story.marks}
    assert list(at) == ["1×", "6×", "14.4×"]
    assert 0 < at["1×"] < story.phases[2].percent < at["6×"] < at["14.4×"]
    assert at["14.4×"] < story.phases[1].percent < 100


def test_a_budget_of_unknown_traffic_claims_no_share() -> None:
    unknown = BUDGET.model_copy(update={"allowed": None, "share_ratio": None})
    assert "is not known; 120 requests failed." in plain(budget_story(unknown).sentence)


def test_the_two_views_stand_side_by_side_with_gap_and_tolerance() -> None:
    (group,) = document().views
    assert group.label == "baseline"
    rate, errors, latency = group.rows
    assert (rate.title, plain(rate.gap.text), plain(rate.tolerance.text)) == (
        *("Rate", "0.51 %", "5 %"),
    )
    assert rate.within is True
    assert (errors.within, plain(errors.gap.text), plain(errors.tolerance.text)) == (
        *(False, "2 pp", "1 pp"),
    )
    assert (latency.title, latency.within, plain(latency.client.text)) == ("p95", None, "58 ms")


def test_phases_have_the_same_columns_and_a_remark_of_what_differs() -> None:
    """Goal: one row for a phase. Method: a second phase that has one of the three figures."""
    short = VIEWS[2].model_copy(update={"label": "recovery", "phase_index": 3})
    _, evaluation = voyage()
    first, second = view_groups(evaluation.model_copy(update={"views": (*VIEWS, short)}))
    assert [row.title for row in first.rows] == [row.title for row in second.rows]
    assert [row.client.value for row in second.rows] == [None, None, 0.058]
    assert first.remark == (
        "errors beyond what is tolerated; timeouts are failures to the load only"
    )
    assert second.remark == ""


def test_views_without_a_mesh_are_left_to_validity() -> None:
    blind: tuple[ViewFigures, ...] = tuple(
        one.model_copy(update={"mesh": None, "gap_ratio": None}) for one in VIEWS
    )
    assert view_groups(voyage()[1].model_copy(update={"views": blind})) == ()


def test_the_score_says_what_it_takes() -> None:
    assert plain(score_story(SCORE).sentence).startswith(
        "Score: 85 % (8.5 of 10 points). A pass needs 90 %, a warning 75 %;"
    )


# -- relative bounds, own signals ------------------------------------------------------------------


def test_a_relative_bound_says_how_it_came_about() -> None:
    rows = {row.title: row for row in document().objectives}
    row = rows["latency.p99 <= baseline + 10% for 10s"]
    assert plain(row.reference) == "baseline 100 ms + 10 % = 110 ms"
    assert plain(row.bound_text) == "≤ 110 ms"
    assert (row.weight.text, row.key, row.samples.value) == ("2", True, 1200)
    queue = rows["signal.queue < 5.5"]
    assert (queue.observed.text, queue.bound_text) == ("14.4", "< 5.5"), "no rounding to 14"


def test_an_own_signal_has_a_chart_with_its_bound_and_no_service_gets_it() -> None:
    groups = {group.id: group for group in document().charts}
    (chart,) = groups["own"].charts
    assert (chart.title, chart.unit) == ("queue", "count")
    assert [(b.label, b.missed, b.windows) for b in chart.bounds] == [("< 5.5", True, ((15, 22),))]
    assert chart.lines[0].values[16] == 14.4
    assert [group.title for group in document().charts] == [
        *("As the users saw it", "order-api", "payment-api", "The experiment's own signals")
    ]


# -- alerts and events -----------------------------------------------------------------------------


def test_alerts_have_lanes_with_their_times_and_the_fault_in_which_they_fired() -> None:
    story = document().alerts
    assert story is not None
    fired, pending = story.lanes
    assert (fired.name, fired.severity, fired.labels) == (
        *("HighErrorRate", "critical", "service=payment-api"),
    )
    assert [(one.state, one.window, one.length) for one in fired.times] == [
        ("pending", "00:41 to 00:44", "3s"),
        ("firing", "00:44 to 00:52", "8s"),
    ]
    assert fired.during == "during 02-http-abort"
    assert (pending.fired, pending.times[0].window, pending.times[0].left_percent) == (
        *(False, "00:00 to 00:09", 0.0),
    ), "what was pending before the load begins with it"
    assert story.watched == "Prometheus has 2 alerting rules."
    assert document().timeline.alerts == story.lanes


@pytest.mark.parametrize(
    ("start", "end", "side"),
    [(5, 20, "right"), (80, 99, "left"), (20, 85, "below"), (40, 99, "left")],
)
def test_words_of_a_lane_stand_where_there_is_room(start: float, end: float, side: str) -> None:
    assert side_of(start, end) == side


def test_an_alert_that_fires_after_the_end_is_told_after_it() -> None:
    recording, evaluation = voyage()
    assert recording.signals is not None
    late = [one.model_copy(update={"start_s": 49.0, "end_s": 55.0}) for one in ALERTS[1:2]]
    signals = recording.signals.model_copy(update={"alerts": tuple(late)})
    changed = build_document(replace(recording, signals=signals), evaluation)
    assert changed.timeline.alerts[0].during == "after 02-http-abort"
    _, fault = changed.faults
    assert plain(fault.told[-3]) == "It was gone at 00:46."
    assert plain(fault.told[-2]) == "HighErrorRate fired 10s after its start, until 00:55."


def test_without_an_answer_about_alerts_the_report_says_why_or_nothing() -> None:
    recording, _ = voyage()
    assert recording.signals is not None
    refused = {"alerts": (), "rules": None, "alerts_missing": "Prometheus refused"}
    signals = recording.signals.model_copy(update=refused)
    story = alert_story(replace(recording, signals=signals))
    assert story is not None
    assert (story.lanes, story.missing) == ((), "Prometheus refused")
    assert alert_story(replace(recording, signals=None)) is None


def test_events_of_the_run_stand_on_the_timeline() -> None:
    moments = document().timeline.moments
    assert [(one.at, one.kind, one.text) for one in moments] == [
        ("00:30", "worker", "Worker w1 was lost at 30 s; the others took its share"),
        ("00:50", "guard", "A guard stopped the run: errors > 60% held for 10 s"),
    ]
    assert [one.left_percent for one in moments] == [50.0, 83.333]


def test_only_what_is_not_usual_is_an_event() -> None:
    """Goal: phases are no events, a failed undo is one. Method: a journal with both."""
    recording, _ = voyage()
    lines = [
        ("run", "phase fault", "note", "01-x"),
        ("run", "interrupted", "note", ""),
        ("load", "end", "note", "exit code 0"),
        ("load", "end", "note", "exit code 3"),
        ("01-x", "heal", "failed", "refused"),
        ("01-x", "inject", "ok", ""),
        ("01-x", "lost", "note", "its child ended with 1; healed at once"),
    ]
    events = tuple(
        Event.model_validate(
            {"wall_s": 0.0, "offset_s": float(at), "source": source, "action": action}
            | {"kind": kind, "detail": detail}
        )
        for at, (source, action, kind, detail) in enumerate(lines)
    )
    quiet = replace(recording, events=events, load=replace(recording.load, workers=()))
    assert [one.text for one in moments_of(quiet)] == [
        "Ctrl-C was pressed",
        "The load generator ended: exit code 3",
        "01-x: heal failed: refused",
        "01-x: its child ended with 1; healed at once",
    ]


# -- failures, tale, page --------------------------------------------------------------------------


def test_failures_stand_by_endpoint_and_phase_the_most_first() -> None:
    rows = document().failed
    counts = [row.failures.value or 0 for row in rows]
    assert counts == sorted(counts, reverse=True)
    assert (rows[0].endpoint, rows[0].label) == ("POST /api/v1/orders", "fault 02-http-abort")
    _, evaluation = voyage()
    assert sum(counts) == sum(one.failures for one in evaluation.phases)
    chart = document().failures_chart
    assert chart is not None
    assert [line.name for line in chart.lines] == ["5xx"]
    drawn = sum(value or 0 for value in chart.lines[0].values)
    assert drawn == pytest.approx(sum(counts)), "a step is a second here"


def test_a_fault_is_told_in_order() -> None:
    """Goal: one story, from plan to recovery. Method: the abort, and an alert in it."""
    _, fault = document().faults
    told = [plain(one) for one in fault.told]
    assert told[0] == "It was seen in place at 00:39, 400 ms after its planned time."
    assert told[1] == (
        "It struck virtualservice/payment-api; the mesh counted 75 requests that it hit."
    )
    assert told[2].startswith("While it lasted, 73 of 802 requests failed (9.1 %; 73 HTTP 5xx), ")
    assert "all of them at POST /api/v1/orders and POST /api/v1/payments. p95 rose" in told[2]
    assert told[3].startswith("Services affected: payment-api (errors 0 %")
    assert "Affected means" not in told[3]
    assert told[4] == "HighErrorRate fired 5s after its start, until 00:52."
    assert told[5:] == [
        "It was gone at 00:46.",
        "The objectives held again from its planned end on.",
    ]


def test_a_fault_that_was_never_seen_is_told_so() -> None:
    recording, evaluation = voyage()
    unseen = evaluation.faults[1].model_copy(
        update={"injected_s": None, "gone_s": None, "flagged": 0.0, "recovery_s": None}
    )
    changed = {"faults": (unseen,), "recoveries": (UNSEEN,)}
    (fault,) = build_document(recording, evaluation.model_copy(update=changed)).faults
    assert fault.told[0] == "It was planned for 00:39 and was never seen in place."
    assert fault.told[-1].startswith("No recovery was seen: the objectives did not hold again")


def test_a_question_without_an_answer_is_not_told() -> None:
    recording, evaluation = voyage()
    open_ = tuple(
        one.model_copy(update={"verdict": Verdict.INCONCLUSIVE, "reason": "No answer: no data."})
        if one.check == "affected-by-fault"
        else one
        for one in evaluation.findings
    )
    for fault in build_document(
        recording, evaluation.model_copy(update={"findings": open_})
    ).faults:
        assert fault.told
        assert not any("No answer" in one for one in fault.told)


def test_the_page_has_a_part_for_each_and_hostile_names_stay_text() -> None:
    recording, evaluation = voyage()
    assert recording.signals is not None
    hostile = RECOVERY.model_copy(
        update={"after": HOSTILE, "titles": (HOSTILE,), "reason": HOSTILE}
    )
    alert = ALERTS[1].model_copy(
        update={"name": HOSTILE, "severity": HOSTILE, "labels": {HOSTILE: HOSTILE}}
    )
    signals = recording.signals.model_copy(update={"alerts": (alert,)})
    document_ = build_document(
        replace(recording, signals=signals),
        evaluation.model_copy(update={"recoveries": (hostile,)}),
    )
    charts = [chart.id for group in document_.charts for chart in group.charts]
    html = render_page(document_, dict.fromkeys(charts, ""))
    for part in ("distribution", "recoveries", "alerts", "budget", "views"):
        assert f'<section class="panel" id="{part}"' in html
    text = render_markdown(document_)
    for form in (html, text):
        assert "<script>alert" not in form
        assert "\u202e" not in form
        assert "\x1b" not in form
    assert "\n- \\<script\\>" in text, "the alert is there, as text"


def test_markdown_has_score_budget_alerts_and_where_bounds_come_from() -> None:
    text = plain(render_markdown(document()))
    assert "\n\nScore: 85 % (8.5 of 10 points)." in text
    assert "baseline + 10% for 10s **(key)** | recovery 1 | 105 ms | ≤ 110 ms (baseline 100 ms" in (
        text
    )
    assert "It burned fastest in fault 01-pod-kill: 57.1×, at which the budget would last" in text
    assert "**Alerts that fired**\n\n- critical alert HighErrorRate: pending from 00:41" in text
    assert "SlowOrders" not in text, "it was pending only"
    assert "While it lasted, 73 of 802 requests failed" in text
