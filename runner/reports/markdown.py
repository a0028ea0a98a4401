"""The report as a short Markdown text, for pull requests and job summaries."""

from __future__ import annotations

import re

from runner.reports import format as fmt
from runner.reports.budget import BudgetStory
from runner.reports.document import Document
from runner.reports.faults import FaultStory
from runner.reports.html import MARKS
from runner.reports.moments import AlertStory
from runner.reports.openmodel import OpenModel
from runner.reports.rows import AnswerRow, FindingRow, LoadRow, worst_first
from runner.reports.search import SearchStory

MOST_REASONS = 10
MOST_FAULTS = 20
MOST_ALERTS = 10
_SPECIAL = re.compile(r"([\\`*_\[\]<>|~$&]|^#|^[+-](?=[\s-]|$)|(?<=^\d)[.)](?=\s|$))")
_WORD_JOINER = "\u2060"
_CALLS = re.compile(r"(@|#(?=\d))")
_NOT_A_NAME = re.compile(r"[^A-Za-z0-9_.]+")


def render_markdown(document: Document) -> str:
    """Verdict, why, score, objectives, budget, what broke, alerts that fired; the rest is folded.

    The one source of the text for pull requests and for the summary of a job. The first line is a
    comment that nobody sees and that is the same for every run of the experiment: whoever comments
    on a pull request finds by it what is to be replaced.
    """
    mark = MARKS[document.verdict]
    blocks = [
        marker(document.experiment),
        f"## {mark} {md(document.word)}: {md(document.experiment)}",
        *(f"**{md(said)}**" for said in (document.judged_by, document.rehearsal) if said),
        md(document.because),
    ]
    if document.score is not None:
        blocks.append(md(document.score.sentence))
    if document.objectives:
        blocks.append(_objectives(worst_first(document.objectives)))
    if document.budget is not None:
        blocks.append(_budget(document.budget))
    unwell = [row for row in document.validity if row.verdict != "pass"]
    if unwell:
        reasons = [f"- {MARKS[row.verdict]} {md(row.reason)}" for row in unwell[:MOST_REASONS]]
        blocks.append("\n".join(["**Validity**", "", *reasons]))
    if document.faults:
        told = [_fault(story) for story in document.faults[:MOST_FAULTS]]
        told += [f"- and {rest} more"] if (rest := len(document.faults) - MOST_FAULTS) > 0 else []
        blocks.append("\n".join(["**What broke**", "", *told]))
    if fired := _fired(document.alerts):
        blocks.append("\n".join(["**Alerts that fired**", "", *fired]))
    where = f"{document.experiment}/{document.run_id}/report/index.html"
    facts = {fact.name: fact.text for fact in document.facts} | {"Report": where}
    blocks.append(" · ".join(f"{md(name)}: {md(text)}" for name, text in facts.items()))
    if details := _details(document):
        summary = "<details>\n<summary>Answers, phases and how to repeat it</summary>"
        blocks += [summary, *details, "</details>"]
    return "\n\n".join(blocks) + "\n"


def marker(experiment: str) -> str:
    """The hidden comment by which the text about runs of ``experiment`` is found again."""
    return f"<!-- seatrial: {_NOT_A_NAME.sub('-', experiment)[:80]} -->"


def _details(document: Document) -> list[str]:
    blocks: list[str] = []
    if document.answers:
        lines = [f"- **{md(_asked(row))}** {md(row.text)}" for row in document.answers]
        blocks.append("\n".join(["**Answers**", "", *lines]))
    if document.search is not None and document.search.rates:
        blocks.append(_rates(document.search))
    if document.phases:
        blocks.append(_phases(document.phases))
    if document.open_model is not None:
        blocks += _arrivals(document.open_model, document.phases)
    if document.command:
        blocks.append(f"Run {md(document.run_id)}, repeated by:\n\n{_code(document.command)}")
    return blocks


def _fault(story: FaultStory) -> str:
    """What a fault did and how it ended, in a line."""
    known = {
        story.begun: story.injected,
        story.ended: story.gone,
        "Recovery": story.recovery,
    }
    told = ", ".join(f"{md(name.lower())} {md(text)}" for name, text in known.items() if text)
    line = f"- **{md(story.id)}** ({md(story.planned)}): {md(story.what)}; {told}."
    return f"{line} {md(story.errors)}" if story.errors else line


def _budget(budget: BudgetStory) -> str:
    """What the run took of the error budget, and the phase that burned it fastest."""
    known = [(row.rate.value, row) for row in budget.phases if row.rate.value]
    if not known:
        return md(budget.sentence)
    _, fastest = max(known, key=lambda item: item[0] or 0.0)
    rate, lasts = fastest.rate.text, fastest.lasts
    burned = (
        f"It burned fastest in {fastest.label}: {rate}, at which the budget would last {lasts}."
    )
    return md(f"{budget.sentence} {burned}")


def _fired(alerts: AlertStory | None) -> list[str]:
    lanes = [lane for lane in (alerts.lanes if alerts else ()) if lane.fired][:MOST_ALERTS]
    return [
        f"- {md(lane.text)}" + (f" ({md(lane.during)})" if lane.during else "") for lane in lanes
    ]


def _asked(row: AnswerRow) -> str:
    return f"{row.question} ({row.where})" if row.where else row.question


def md(text: str) -> str:
    """``text`` such that Markdown shows it as it is: one line, no markup, nobody notified.

    Nor is an issue referred to by chance: GitHub would tell it of ``#1``.
    """
    flat = " ".join(text.split())
    return _CALLS.sub("\\1" + _WORD_JOINER, _SPECIAL.sub(r"\\\1", flat))


def _code(text: str) -> str:
    """A fenced block whose fence is longer than any in ``text``."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}sh\n{text}\n{fence}"


def _table(headers: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    rule = tuple("---" for _ in headers)
    return "\n".join(f"| {' | '.join(row)} |" for row in (headers, rule, *rows))


def _objectives(rows: tuple[FindingRow, ...]) -> str:
    return _table(
        ("", "Objective", "Where", "Observed", "Bound", "Margin"),
        [
            (
                f"{MARKS[row.verdict]} {row.word.lower()}",
                md(row.title) + (" **(key)**" if row.key else ""),
                md(row.where),
                md(row.observed.text),
                md(row.bound_text + (f" ({row.reference})" if row.reference else "")),
                md(row.margin.text),
            )
            for row in rows
        ],
    )


def _rates(search: SearchStory) -> str:
    return _table(
        ("Rate", "Tries", "Verdict", "Achieved", search.statistic, "Errors"),
        [
            (
                md(row.rate.text),
                row.tries.text,
                md(row.word),
                md(row.achieved.text),
                md(row.quantile.text),
                md(row.error_ratio.text),
            )
            for row in search.rates
        ],
    )


def _arrivals(model: OpenModel, rows: tuple[LoadRow, ...]) -> list[str]:
    """What became of arrivals, phase by phase, and what the figures mean."""
    said = md(f"{model.response_time} {model.service_time} {model.pool}")
    counted = [(row.label, row.arrivals) for row in rows if row.arrivals is not None]
    if not counted:
        return [said]
    table = _table(
        ("Phase", "Offered", "Started", "Waited", "Dropped", "Completed", "Most in flight"),
        [
            (
                md(label),
                arrivals.offered.text,
                arrivals.started.text,
                arrivals.waited.text,
                arrivals.dropped.text,
                arrivals.completed.text,
                arrivals.peak_in_flight.text,
            )
            for label, arrivals in counted
        ],
    )
    return [table, said]


def _phases(rows: tuple[LoadRow, ...]) -> str:
    is_open = any(row.service is not None for row in rows)
    service = ("Service p50", "Service p95", "Service p99") if is_open else ()
    return _table(
        ("Phase", "Window", "Requests", "Rate", "Errors", "p50", "p95", "p99", *service),
        [
            (
                md(row.label),
                md(row.window),
                row.requests.text,
                md(row.rate.text),
                md(row.error_ratio.text),
                md(row.p50.text),
                md(row.p95.text),
                md(row.p99.text),
                *(_service(row) if is_open else ()),
            )
            for row in rows
        ],
    )


def _service(row: LoadRow) -> tuple[str, ...]:
    times = row.service
    found = () if times is None else (times.p50.text, times.p95.text, times.p99.text)
    return tuple(md(text) for text in found) or (fmt.NOTHING,) * 3
