"""The document: every figure and text of a report, from a run made by hand."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from voyages import HOSTILE, OBJECTIVES, Voyage, write_run

from runner.legible import printable
from runner.model.evaluation import Evaluation, FailureFigure, LoadFigures, Verdict
from runner.model.recording import ClockAnchor, Event, Recording
from runner.reports.document import Document, build_document
from runner.reports.rows import MOST_ENDPOINTS, MOST_FAILURES, Number, worst_first
from runner.reports.text import LONGEST, shown
from runner.reports.timeline import ticks_s


@cache
def run_of(voyage: Voyage) -> tuple[Recording, Evaluation]:
    with TemporaryDirectory() as folder:
        run = write_run(Path(folder), voyage)
        return run.recording(), run.read_evaluation()


SHORT = Voyage(length_s=60, services=("order-api", "payment-api"))


def document(voyage: Voyage = SHORT, **changes: object) -> Document:
    recording, evaluation = run_of(voyage)
    return build_document(recording, evaluation.model_copy(update=changes))


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def test_the_verdict_stands_with_its_word_and_its_reason() -> None:
    """Goal: the reason without the word, the word without the reason. Method: a failed run."""
    doc = document()
    assert (doc.verdict, doc.word, doc.valid) == (Verdict.FAIL, "Fail", True)
    assert doc.sentence == f"FAIL: {doc.because[0].lower()}{doc.because[1:]}"
    assert doc.because.startswith("1 of 8 objectives was missed. ")
    assert doc.rehearsal == ""


def test_a_rehearsal_says_so() -> None:
    doc = document(Voyage(length_s=60, services=(), time_scale=0.1))
    assert doc.rehearsal == "Rehearsal: every duration × 0.1"
    assert doc.sentence.startswith("REHEARSAL")
    assert not doc.because.startswith("REHEARSAL")


def test_objectives_carry_bound_margin_and_windows() -> None:
    """Goal: number and text agree, and every phase is there. Method: the missed objective."""
    _, evaluation = run_of(SHORT)
    (finding,) = [f for f in evaluation.findings if f.verdict is Verdict.FAIL]
    (row,) = [row for row in document().objectives if row.verdict is Verdict.FAIL]
    assert row.title == "errors < 5%"
    assert row.observed.value == finding.observed
    assert row.margin.value == finding.margin_ratio
    assert plain(row.bound_text) == "< 5 %"
    assert row.source == "load"
    assert [(part.label, part.window) for part in row.parts] == [
        ("fault 01-pod-kill", "00:15 to 00:22"),
        ("fault 02-http-abort", "00:39 to 00:46"),
    ]


def test_the_warning_bound_is_shown_beside_the_bound() -> None:
    rows = {row.title: row for row in document().objectives}
    assert plain(rows["latency.p95 < 300ms"].warn_text) == "< 100 ms"
    assert rows["traffic > 80/s"].warn_text == ""
    assert rows["traffic > 80/s"].bound_text == "> 80/s"


def test_all_findings_are_shown_each_in_its_table() -> None:
    _, evaluation = run_of(SHORT)
    doc = document()
    assert len(doc.objectives) == len(OBJECTIVES)
    shown = len(doc.objectives) + len(doc.validity) + len(doc.answers)
    assert shown == len(evaluation.findings)
    assert [row.check for row in doc.answers] == ["affected-by-fault"] * 2 + ["breaker"]
    assert {row.check for row in doc.objectives} == {"objective"}
    assert "objective" not in {row.check for row in doc.validity}


def test_the_worst_comes_first_and_equals_keep_their_order() -> None:
    doc = document()
    ordered = worst_first(doc.objectives)
    assert ordered[0].verdict is Verdict.FAIL
    rest = [row for row in ordered if row.verdict is Verdict.PASS]
    assert rest == [row for row in doc.objectives if row.verdict is Verdict.PASS]


def test_the_timeline_is_tiled_by_phases_and_carries_faults() -> None:
    line = document().timeline
    assert [(phase.name, phase.window) for phase in line.phases] == [
        ("warmup", "00:00 to 00:05"),
        ("baseline", "00:05 to 00:15"),
        ("fault", "00:15 to 00:22"),
        ("recovery", "00:22 to 00:39"),
        ("fault", "00:39 to 00:46"),
        ("recovery", "00:46 to 01:00"),
    ]
    assert sum(phase.width_percent for phase in line.phases) == pytest.approx(100, abs=0.01)
    assert [(f.number, f.kind, f.left_percent, f.width_percent) for f in line.faults] == [
        (1, "pod-kill", 25.0, 12.5),
        (2, "http-abort", 65.0, 12.5),
    ]
    assert line.counted == "users"
    assert [one.name for one in line.load] == ["planned", "running"]
    assert line.highest == Number(value=100.0, unit="count", text="100")
    assert line.scale == 100.0
    assert line.ticks[0] == (0.0, "00:00")
    assert line.ticks[-1] == (100.0, "01:00")


def test_the_timeline_shows_where_a_broken_off_load_ended() -> None:
    cut = document(Voyage(length_s=60, recorded_s=20, services=())).timeline
    assert (cut.ended_percent, cut.ended_text) == (33.333, "the load ended at 00:20")
    whole = document().timeline
    assert (whole.ended_percent, whole.ended_text) == (None, "")


@pytest.mark.parametrize(
    ("duration_s", "most", "step_s", "last"),
    [(60, 10, 10, 60), (40, 6, 10, 40), (1800, 6, 300, 1800), (86400, 10, 10800, 86400)],
)
def test_ticks_are_round_and_few(duration_s: float, most: int, step_s: float, last: float) -> None:
    ticks = ticks_s(duration_s, most)
    assert ticks[1] - ticks[0] == step_s
    assert ticks[-1] == last


def test_load_figures_of_phases_are_those_of_the_evaluation() -> None:
    _, evaluation = run_of(SHORT)
    doc = document()
    assert [row.requests.value for row in doc.phases] == [f.requests for f in evaluation.phases]
    (fault,) = [row for row in doc.phases if row.label == "fault 02-http-abort"]
    assert fault.kinds == f"{fault.failures.text} HTTP 5xx"
    assert fault.failures.value == sum(
        f.failures for f in evaluation.phases if f.label == fault.label
    )
    assert fault.failures.value
    assert {rows[0].endpoint for rows in doc.endpoints} == {
        *("GET /api/v1/customers", "GET /api/v1/products"),
        *("POST /api/v1/orders", "POST /api/v1/payments"),
    }


def test_faults_tell_plan_evidence_and_what_users_saw() -> None:
    kill, abort = document().faults
    assert kill.what == "Kills 1 pod of order-api, at once, leaving 1 healthy"
    assert (kill.planned, kill.injected, kill.gone) == ("00:15 to 00:22", "00:15", "00:18")
    assert kill.flagged == ""
    assert plain(abort.what) == "Answers 50 % of the requests to payment-api with HTTP 503"
    assert abort.flagged == "75 requests"
    assert [one.title for one in abort.evidence] == [
        "02-http-abort was injected",
        "02-http-abort was seen",
        "02-http-abort is gone",
    ]
    labels = ["baseline", "fault 02-http-abort", "recovery 2"]
    assert [seen.label for seen in abort.impact] == labels
    assert [seen.label for seen in kill.impact] == ["baseline", "fault 01-pod-kill", "recovery 1"]
    assert plain(abort.impact[0].error_ratio) == "0 %"
    assert [step.what for step in abort.steps] == ["injected", "verified", "removed", "gone"]


def test_a_run_that_was_ended_shows_what_was(tmp_path: Path) -> None:
    """Goal: shades end where faults did. Method: Ctrl-C at 20 s, in the first of two faults."""
    run = write_run(tmp_path, Voyage(length_s=60, recorded_s=20, services=()))
    recording = run.recording()
    first = recording.plan.faults[0].id
    events = [event for event in recording.events if event.source == first]
    healed = [e.model_copy(update={"offset_s": 20.4}) if e.action == "heal" else e for e in events]
    cut = replace(recording, events=tuple(healed))
    doc = build_document(cut, run.read_evaluation())
    assert {fact.name: fact.text for fact in doc.facts}["Length"] == "20s of 1m"
    kill, abort = doc.timeline.faults
    assert (kill.begun, kill.start_s, kill.end_s, kill.width_percent) == (True, 15.0, 20.4, 9.0)
    assert kill.text == "pod-kill on order-api, 00:15 to 00:20, planned to 00:22"
    assert (abort.begun, abort.width_percent) == (False, 0.0)
    assert abort.text.endswith("not injected: the run ended before 00:39")
    whole = build_document(recording, run.read_evaluation()).timeline.faults[1]
    assert (whole.begun, whole.end_s) == (True, 46.5)


def test_a_run_without_load_was_created_and_the_clock_is_ahead_or_behind(tmp_path: Path) -> None:
    run = write_run(tmp_path, Voyage(length_s=60, services=()))
    recording, evaluation = run.recording(), run.read_evaluation()

    def facts(anchor: ClockAnchor | None) -> dict[str, str]:
        manifest = recording.manifest.model_copy(update={"anchor": anchor})
        doc = build_document(replace(recording, manifest=manifest), evaluation)
        return {fact.name: plain(fact.text) for fact in (*doc.facts, *doc.environment)}

    assert facts(None)["Created"].startswith("2025-12-31")
    assert "Load started" not in facts(None)
    anchor = recording.manifest.anchor
    assert anchor is not None
    assert facts(anchor)["Clock of Prometheus"] == "4 ms ahead"
    behind = anchor.model_copy(update={"prometheus_skew_s": -1.5})
    assert facts(behind)["Clock of Prometheus"] == "1.5 s behind"


def test_a_delay_is_told_in_words() -> None:
    doc = document(Voyage(length_s=60, kill=False, abort=False, delay=True, services=()))
    assert plain(doc.faults[0].what) == "Delays 60 % of the requests to payment-api by 250 ms"


def test_the_environment_identifies_run_and_target_and_keeps_no_path_of_a_secret() -> None:
    doc = document()
    facts = {fact.name: fact.text for fact in doc.environment}
    assert facts["Target"] == "sandbox default"
    assert facts["Ingress"] == "http://127.0.0.1:8080 (host api.c4ang.com)"
    assert facts["Git revision"] == "0123456789ab"
    assert facts["Target's prometheus"] == "3.5.0"
    assert facts["Time scale"] == "× 1"
    assert facts["Version: locust"] == "2.46.0"
    assert facts["Host: cpus"] == "2"
    assert "kubeconfig" not in " ".join(facts).lower()
    assert doc.command == "seatrial run shop-at-sea --target sandbox"
    assert '"undo_by_s"' in doc.plan


def test_dates_are_utc() -> None:
    doc = document()
    assert doc.created == "2026-01-01 00:00:00 UTC"
    assert doc.started_iso == "2026-01-01T00:00:00"


def test_a_run_without_signals_says_so() -> None:
    doc = document(Voyage(length_s=60, signals=False))
    assert doc.signals_missing == "No signals of the services were collected."
    assert [group.id for group in doc.charts] == ["load"]
    assert doc.verdict is Verdict.INCONCLUSIVE


def test_what_is_too_much_is_cut_and_said() -> None:
    """Goal: a page stays readable. Method: more endpoints and failures than are shown."""
    figures = tuple(
        LoadFigures(
            label="baseline",
            phase="baseline",
            endpoint=f"GET /{number:03d}",
            start_s=0,
            end_s=1,
            requests=number,
            rate_per_s=1,
            failures=0,
            error_ratio=0,
        )
        for number in range(MOST_ENDPOINTS + 7)
    )
    failures = tuple(
        FailureFigure(endpoint="GET /", outcome="timeout", text=f"{number}", count=1)
        for number in range(MOST_FAILURES + 1)
    )
    doc = document(endpoints=figures, failures=failures)
    assert len(doc.endpoints) == MOST_ENDPOINTS
    assert doc.endpoints[0][0].endpoint == "GET /007"
    assert doc.endpoints_left_out == "7 more endpoints with fewer requests are not shown here."
    assert len(doc.failures) == MOST_FAILURES
    assert doc.failures_left_out == "1 more kinds of failure are not shown here."
    assert doc.failures[0].outcome == "timeout"


def test_notes_of_the_generator_are_shown() -> None:
    recording, evaluation = run_of(SHORT)
    noted = replace(recording, load=replace(recording.load, notes=("Names were cut.\x1b",)))
    assert build_document(noted, evaluation).notes == ("Names were cut.�",)


def test_what_was_seen_before_the_run_is_shown() -> None:
    """Goal: remarks of the preflight reach the reader. Method: one in the journal."""
    recording, evaluation = run_of(SHORT)
    told = {"wall_s": 1.0, "source": "target", "kind": "note", "detail": "clocks: far\x1b apart"}
    events = [{**told, "action": "preflight"}, {**told, "action": "open"}]
    noted = replace(recording, events=(*map(Event.model_validate, events), *recording.events))
    assert build_document(noted, evaluation).remarks == ("clocks: far� apart",)
    assert build_document(recording, evaluation).remarks == ()


def test_the_document_survives_json() -> None:
    doc = document()
    assert Document.model_validate_json(doc.model_dump_json()) == doc


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain äöü 漢字 \t\n", "plain äöü 漢字 \t\n"),
        ("a\x00b\x1bc\x7fd", "a�b�c�d"),
        ("a\u202eb\u2066c\ud800d\ufffee", "a�b�c�d�e"),
        ("a\r\nb\rc", "a\nb\nc"),
    ],
)
def test_what_may_not_be_shown_is_replaced(text: str, expected: str) -> None:
    assert printable(text) == expected


def test_long_texts_are_cut() -> None:
    assert shown("x" * LONGEST) == "x" * LONGEST
    assert shown("x" * (LONGEST + 1)) == "x" * (LONGEST - 1) + "…"


def test_hostile_text_is_made_fit_once_for_all_forms() -> None:
    """Goal: no form sees a control character. Method: hostile endpoint and failure text."""
    voyage = Voyage(length_s=60, services=(), failure_text=HOSTILE)
    doc = document(voyage)
    assert doc.failures[0].text == HOSTILE.replace("\x00", "�").replace("\x1b", "�").replace(
        "\u202e", "�"
    )
