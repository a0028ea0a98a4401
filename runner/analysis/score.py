"""How objectives add up to one verdict, where the experiment has a score. Pure.

The scheme is Keptn's (https://keptn.sh, "quality gates": ``total_score`` with ``pass`` and
``warning``): weights of objectives that were met count whole, of those with a warning half, and the
share of all weights is compared with two limits. Two things are stricter than there. An objective
without evidence is not one that was missed: nothing can pass beside it. And what only warns about
the run itself, a finding on validity, still makes a pass a warning.

A weight of 0 is told and not counted, unless the objective is a key one. Without a score, weights
mean nothing: each objective must be met, one with a weight of 0 too.
"""

from __future__ import annotations

from collections.abc import Iterable

from runner.analysis.words import count, figure
from runner.model.evaluation import Finding, ScoreFigures, Verdict
from runner.model.score import ScoreRule

_WORTH = {Verdict.PASS: 1.0, Verdict.WARN: 0.5}

_NOISE = 1e-9
"""What sums of weights may be off by: a share that is as much as asked for is enough."""


def score_figures(findings: Iterable[Finding], rule: ScoreRule) -> ScoreFigures:
    """How the objectives among ``findings`` add up; a share of 0 where nothing is counted."""
    counted = [finding for finding in findings if finding.kind == "objective"]
    # In order of size, so that the order of objectives changes not even the last bit.
    reached = sum(sorted(one.weight * _WORTH.get(one.verdict, 0.0) for one in counted))
    possible = sum(sorted(one.weight for one in counted))
    return ScoreFigures(
        reached=reached,
        possible=possible,
        share_ratio=reached / possible if possible else 0.0,
        pass_ratio=rule.passes / 100.0,
        warn_ratio=rule.warns / 100.0,
    )


def by_score(findings: Iterable[Finding], score: ScoreFigures) -> Verdict:
    """What the objectives among ``findings`` come to by ``score``; validity is not looked at.

    A key objective that was missed is a failure. Where an objective that counts has no evidence,
    it is a failure if even with it the share would stay below the limit of a warning, and
    inconclusive otherwise; and so it is where nothing counts at all.
    """
    counted = [one for one in findings if one.kind == "objective" and (one.weight or one.key)]
    open_weights = [one.weight for one in counted if one.verdict is Verdict.INCONCLUSIVE]
    if any(one.key and one.verdict is Verdict.FAIL for one in counted):
        return Verdict.FAIL
    if not score.possible:
        return Verdict.INCONCLUSIVE
    at_best = (score.reached + sum(sorted(open_weights))) / score.possible
    if at_best < score.warn_ratio - _NOISE:
        return Verdict.FAIL
    if open_weights:
        return Verdict.INCONCLUSIVE
    return Verdict.PASS if score.share_ratio >= score.pass_ratio - _NOISE else Verdict.WARN


def score_said(findings: Iterable[Finding], score: ScoreFigures, verdict: Verdict) -> str:
    """``verdict``, to which the objectives came by ``score``, as the rest of a sentence."""
    objectives = [one for one in findings if one.kind == "objective"]
    share = figure(score.share_ratio, "ratio")
    missed = [one for one in objectives if one.verdict is Verdict.FAIL]
    unproven = [one for one in objectives if one.verdict is Verdict.INCONCLUSIVE]
    keys = [one for one in missed if one.key]
    if verdict is Verdict.FAIL and keys:
        return f"{_of(len(keys), 'key objective')} missed; the score is {share}."
    if verdict is Verdict.INCONCLUSIVE:
        if not score.possible:
            return "no objective has a weight, so there is no score."
        return (
            f"{_share_of(len(unproven), len(objectives))} not proven; the score is at least {share}"
            f" (pass from {figure(score.pass_ratio, 'ratio')} on)."
        )
    limit, name = score.pass_ratio, "pass"
    if verdict is Verdict.FAIL:
        limit, name = score.warn_ratio, "warn"
    end = f"; {_share_of(len(missed), len(objectives))} missed" if missed else ""
    return f"the score is {share} ({name} from {figure(limit, 'ratio')} on){end}."


def _of(number: int, noun: str) -> str:
    return f"{count(number, noun)} {'was' if number == 1 else 'were'}"


def _share_of(number: int, total: int) -> str:
    return f"{number} of {count(total, 'objective')} {'was' if number == 1 else 'were'}"
