"""The verdict in a sentence, and why. Wording only; what the verdict is, the model says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from runner.analysis.loadchecks import RUN_FINISHED
from runner.analysis.score import by_score, score_said
from runner.analysis.words import count
from runner.model.evaluation import Finding, ScoreFigures, Verdict
from runner.model.plan import Plan


def headline(
    verdict: Verdict,
    findings: Sequence[Finding],
    plan: Plan,
    judged_by: str = "",
    score: ScoreFigures | None = None,
) -> str:
    """The verdict in one sentence, without reasons; says so when the run was a rehearsal.

    Args:
        verdict: That of the run.
        findings: All of them.
        plan: Says whether it was a rehearsal.
        judged_by: Whose objectives they are, if not the run's own.
        score: How they added up; None where each of them must be met.
    """
    marks = [f"REHEARSAL (durations × {plan.time_scale:g})"] * plan.rehearsal
    marks += [f"judged by the objectives of {judged_by}"] * bool(judged_by)
    marks.append(f"{verdict.value.upper()}: {_what(verdict, findings, score)}")
    text = ", ".join(marks)
    return text[:1].upper() + text[1:]


def because(
    verdict: Verdict, findings: Sequence[Finding], score: ScoreFigures | None = None
) -> str:
    """The first reason of ``verdict``, and how many there are; empty for a pass."""
    invalid = _invalid(findings)
    if invalid and invalid[0].check == RUN_FINISHED:
        return invalid[0].reason  # Whatever else is missing follows from it.
    deciding = invalid or _deciding(verdict, findings, score)
    if verdict is Verdict.PASS or not deciding:
        return ""
    rest = len(deciding) - 1
    return deciding[0].reason + (f" (And {count(rest, 'more reason')}.)" if rest else "")


def _what(verdict: Verdict, findings: Sequence[Finding], score: ScoreFigures | None) -> str:
    objectives = [finding for finding in findings if finding.kind == "objective"]
    if _invalid(findings):
        return "the run proves nothing."
    if not objectives:
        return "the run has no objective, so nothing was judged."
    if score is not None:
        said = score_said(findings, score, by_score(findings, score))
        doubts = _warnings(one for one in findings if one.kind == "validity")
        if verdict is Verdict.WARN and doubts:
            said = f"{said.rstrip('.')}, with {count(doubts, 'warning')} about the run."
        return said
    met = f"all {len(objectives)} objectives were" if len(objectives) > 1 else "the objective was"
    if verdict is Verdict.PASS:
        return f"{met} met and the run was valid."
    if verdict is Verdict.WARN:
        return f"{met} met, with {count(_warnings(findings), 'warning')}."
    deciding = [finding for finding in objectives if finding.verdict is verdict]
    was = "was" if len(deciding) == 1 else "were"
    how = "missed" if verdict is Verdict.FAIL else "not proven"
    return f"{len(deciding)} of {count(len(objectives), 'objective')} {was} {how}."


def _deciding(
    verdict: Verdict, findings: Sequence[Finding], score: ScoreFigures | None
) -> list[Finding]:
    """The findings to which ``verdict`` is due, the gravest first where there is a score."""
    kinds = ("objective", "validity") if verdict is Verdict.WARN else ("objective",)
    known = [one for one in findings if one.kind in kinds]
    if score is None or verdict is Verdict.INCONCLUSIVE:
        counted = [one for one in known if score is None or one.weight or one.key]
        return [one for one in counted if one.verdict is verdict]
    # Those that were missed, key ones and heavy ones first; then what only warns.
    missed = [one for one in known if one.verdict is Verdict.FAIL and (one.weight or one.key)]
    warned = [one for one in known if one.verdict is Verdict.WARN]
    return [*sorted(missed, key=lambda one: (not one.key, -one.weight)), *warned]


def _warnings(findings: Iterable[Finding]) -> int:
    return sum(finding.verdict is Verdict.WARN for finding in findings)


def _invalid(findings: Iterable[Finding]) -> list[Finding]:
    return [
        finding
        for finding in findings
        if finding.kind == "validity" and finding.verdict not in (Verdict.PASS, Verdict.WARN)
    ]
