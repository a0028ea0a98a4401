"""What a search for the breaking point proves: its checks, its answer and its objective. Pure.

A search goes beyond the breaking point on purpose, so that no figure over the whole run says how
well the service is. What is judged is the interval that was found: an objective is met when a rate
was shown to hold that is high enough, missed when a rate fails that is not, and else not proven.
"""

from __future__ import annotations

import math

from runner.analysis.breakpointanswer import RateFigures
from runner.analysis.checks import Check
from runner.analysis.loadchecks import NO_ACCOUNT
from runner.analysis.question import Question
from runner.analysis.scaling import replicas_of
from runner.analysis.searched import DoneStep, Searched, step_quantile_s
from runner.analysis.usl import UslFit
from runner.analysis.words import count, figure, listed
from runner.model.bound import Bound
from runner.model.evaluation import Finding, Verdict
from runner.model.objective import Objective
from runner.model.recording import Recording, Signals
from runner.model.searchfigures import LawFigure, RateFigure, SearchFigures, StepFigure

# -- did the run prove anything? -------------------------------------------------------------------


def search_delivered(recording: Recording, known: Searched) -> Finding:
    """The generator offered each step that was asked for, and the search went to its end."""
    check = Check("load-delivered", "The load was delivered")
    load = recording.load
    if not known.steps:
        return check.unproven("No step of the search was carried out, so nothing was tried.")
    if known.torn:
        return check.unproven(f"The record is not that of this search: {known.torn}.")
    if not load.finished:
        return check.unproven(
            "The load generator did not close its record, so requests may be missing from it."
        )
    if known.due is not None or not load.complete:
        return check.unproven(
            f"The search had not come to its end after {count(len(known.steps), 'step')}."
        )
    return check.passed(
        f"All {count(len(known.steps), 'step')} of the search were offered, and it asked for no "
        "more.",
    )


def search_generator(recording: Recording, known: Searched) -> Finding:
    """In how many steps the generator was the limit; these do not count as steps of the target."""
    check = Check("generator-had-room", "The generator was not the limit")
    limited = [done for done in known.steps if done.result.generator_problem]
    if not recording.load.generator:
        return check.warned(NO_ACCOUNT)
    if not limited:
        return check.passed("In no step was the generator the limit.")
    first = limited[0]
    rate = figure(first.step.rate_per_s, "per_s", 4)
    text = (
        f"In {len(limited)} of {count(len(known.steps), 'step')} the generator was the limit, "
        f"first at {rate}: {first.result.generator_problem}"
    )
    if len(limited) == len(known.steps):
        return check.unproven(f"{text}. Give it more workers or processors.")
    text = f"{text}. These steps do not count."
    # Where there is an answer without them, nothing is missing.
    return check.passed(text) if known.answer.answered else check.warned(text)


# -- the question ----------------------------------------------------------------------------------


def search_answer(known: Searched, signals: Signals | None = None) -> Finding:
    """At which rate the target gives in, or why nobody knows.

    Args:
        known: The search.
        signals: Tell whether the target was scaled meanwhile.
    """
    question = Question("breaking-point", "At which rate does it give in?")
    found = known.answer
    sentence = found.sentence
    if known.due is not None or known.torn:
        return question.open(f"The search did not come to its end. {sentence}")
    if not found.answered:
        return question.open(sentence)
    if found.high_per_s is not None and found.low_per_s and not found.converged:
        sentence += " More steps, or longer ones, would make that interval narrower."
    scaled = [] if signals is None else _scaled(known, signals)
    if scaled:
        sentence += (
            f" Replicas of {listed(scaled)} changed meanwhile: it was not the same target at all "
            "of these rates."
        )
    sentence += _turned(known)
    if known.law is not None:
        sentence += f" {law_sentence(known.law)}"
    observed = found.low_per_s if found.high_per_s is None else found.high_per_s
    return question.answered(sentence, observed, "per_s")


def _scaled(known: Searched, signals: Signals) -> list[str]:
    """Services whose replicas changed between the first step and the end of the last."""
    first, last = known.steps[0].carried, known.steps[-1].carried
    end_s = last.start_s + last.duration_s
    return [
        service
        for service, one in replicas_of(signals).items()
        if any(first.start_s <= change.at_s < end_s for change in one.changes)
    ]


def _turned(known: Searched) -> str:
    """That the target was another one at the end, where a rate failed that had been well before."""
    high_per_s = known.answer.high_per_s
    if high_per_s is None:
        return ""
    lost = [_lost_ratio(done) for done in known.steps]
    well = [n for n, one in enumerate(lost) if not one and _rate_of(known, n) >= high_per_s]
    broken = [n for n, one in enumerate(lost) if one > 0.5 and _rate_of(known, n) == high_per_s]
    if not well or not broken or well[0] > broken[-1]:
        return ""
    at = figure(_rate_of(known, well[0]), "per_s", 4)
    return (
        f" In step {well[0] + 1}, at {at}, no request had failed, and in step "
        f"{broken[-1] + 1} most did: see whether the target broke meanwhile."
    )


def _rate_of(known: Searched, number: int) -> float:
    return known.steps[number].result.rate_per_s


def _lost_ratio(done: DoneStep) -> float:
    """Share of requests that failed or were not answered; 0.5 of a step that says nothing."""
    seconds = done.result.seconds
    offered = sum(one.offered for one in seconds)
    if not offered or done.result.generator_problem:
        return 0.5
    return sum(one.failed + one.missing for one in seconds) / offered


def law_sentence(law: UslFit) -> str:
    """What the Universal Scalability Law says of the rates that were seen."""
    shown = figure(law.fit_ratio, "ratio")
    text = f"The Universal Scalability Law explains {shown} of the throughput"
    contention = f"contention {figure(law.alpha.value, 'ratio')}"
    if law.peak_load is not None and law.peak_per_s is not None:
        peak = figure(law.peak_per_s, "per_s")
        at = figure(law.peak_load, "count")
        return f"{text}: {contention}, and a peak of {peak} with {at} requests under way."
    if law.peak_per_s is not None:
        return f"{text}: {contention}, and at most {figure(law.peak_per_s, 'per_s')}."
    return f"{text}: it grows with the load as far as was seen."


# -- the objective ---------------------------------------------------------------------------------


def judge_breaking_point(objective: Objective, known: Searched | None) -> Finding:
    """The finding about an objective such as ``breaking-point >= 200/s``."""
    if known is None:
        missing = Verdict(objective.on_missing)
        return _objective(
            objective, missing, "This run was no search for the breaking point.", None
        )
    bound, found = objective.bound, known.answer
    low, high = found.low_per_s, found.high_per_s
    limit = figure(bound.value, "per_s", 4)
    if low and bound.holds(low):
        held = f"{figure(low, 'per_s', 4)} was shown to hold"
        if objective.warn_bound is not None and not objective.warn_bound.holds(low):
            near = figure(objective.warn_bound.value, "per_s", 4)
            text = f"{held}: within the bound of {limit}, but past the warning at {near}."
            return _objective(objective, Verdict.WARN, text, low)
        return _objective(objective, Verdict.PASS, f"{held}, within the bound of {limit}.", low)
    if high is not None and high <= bound.value:
        text = f"{found.sentence.rstrip('.')}; the bound is {bound.operator} {limit}."
        return _objective(objective, Verdict.FAIL, text, high)
    missing = Verdict(objective.on_missing)
    text = f"Nothing was shown about {limit}. {found.sentence}"
    return _objective(objective, missing, text, low or None)


def _with(bound: Bound, value: float) -> Bound:
    return bound.model_copy(update={"value": value})


def _objective(
    objective: Objective, verdict: Verdict, reason: str, observed: float | None
) -> Finding:
    bound = objective.bound
    margin = None if observed is None else (observed - bound.value) / bound.value
    return Finding(
        kind="objective",
        check="objective",
        title=objective.title,
        verdict=verdict,
        reason=reason,
        source=objective.effective_source,
        operator=bound.operator,
        observed=observed,
        bound=bound.value,
        warn=None if objective.warn_bound is None else objective.warn_bound.value,
        unit=bound.unit,
        margin_ratio=margin,
    )


# -- figures ---------------------------------------------------------------------------------------


def search_figures(known: Searched) -> SearchFigures:
    """All that a report shows of a search."""
    settings, found = known.settings, known.answer
    criteria = settings.criteria
    return SearchFigures(
        low_per_s=found.low_per_s,
        high_per_s=found.high_per_s,
        reason=found.reason,
        answered=found.answered and known.due is None and not known.torn,
        converged=found.converged,
        sentence=found.sentence,
        start_per_s=settings.start_rate,
        end_per_s=settings.max_rate,
        statistic=f"p{criteria.quantile * 100:g}",
        latency_bound_s=criteria.latency_s,
        error_bound_ratio=criteria.error_ratio,
        rates=tuple(_rate(one) for one in found.rates),
        steps=tuple(_step(done, known) for done in known.steps),
        law=None if known.law is None else _law(known.law),
    )


def _rate(one: RateFigures) -> RateFigure:
    return RateFigure(
        rate_per_s=one.rate_per_s,
        tries=one.steps,
        verdict=one.verdict,
        reason=one.reason or "",
        offered=one.offered,
        achieved_ratio=one.achieved_ratio,
        error_ratio=one.error_ratio,
        mean_s=_finite(one.mean_s),
        quantile_s=_finite(one.quantile_s),
        quantile_high_s=_finite(one.quantile_high_s),
    )


def _step(done: DoneStep, known: Searched) -> StepFigure:
    return StepFigure(
        number=done.step.number,
        rate_per_s=done.step.rate_per_s,
        start_s=done.carried.start_s,
        duration_s=done.carried.duration_s,
        why=done.step.why,
        quantile_s=_finite(step_quantile_s(done, known.settings)),
        failed=sum(second.failed for second in done.result.seconds),
        dropped=done.result.dropped,
        in_flight=done.carried.in_flight,
        problem=done.result.generator_problem,
    )


def _law(law: UslFit) -> LawFigure:
    return LawFigure(
        gamma=law.gamma.value,
        alpha=law.alpha.value,
        beta=law.beta.value,
        peak_per_s=law.peak_per_s,
        fit_ratio=law.fit_ratio,
        sentence=law_sentence(law),
    )


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value
