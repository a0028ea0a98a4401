"""May two recorded runs be compared? What they have in common, and what not. Pure.

Two runs that were asked something else (another load, another length, other faults, another target)
differ for that reason alone; one that was not valid proves nothing, so nothing is compared with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from runner.analysis.words import count, crew_size, listed, load_size, moment
from runner.model.comparison import Condition
from runner.model.evaluation import Evaluation
from runner.model.plan import Plan
from runner.model.recording import Manifest

_NONE = "none"


@dataclass(frozen=True, slots=True)
class Subject:
    """A run as far as a comparison looks at it."""

    manifest: Manifest
    plan: Plan
    evaluation: Evaluation


def conditions_of(first: Subject, second: Subject) -> tuple[Condition, ...]:
    """What the two runs have in common, and what not; what is needed comes first."""
    both = (first, second)
    ramps = first.plan.time_scale == second.plan.time_scale

    def condition(
        name: str, say: Callable[[Subject], str], of: Callable[[Subject], Any], *, needed: bool
    ) -> Condition:
        return Condition(
            name=name,
            first=say(first) or _NONE,
            second=say(second) or _NONE,
            same=of(first) == of(second),
            needed=needed,
        )

    def each(
        name: str, say: Callable[[Subject], str], right: Callable[[Subject], bool]
    ) -> Condition:
        """A condition that each run must meet by itself."""
        met = all(right(one) for one in both)
        return Condition(name=name, first=say(first), second=say(second), same=met, needed=True)

    return (
        each(
            "valid", lambda s: "yes" if s.evaluation.valid else "no", lambda s: s.evaluation.valid
        ),
        each("recording", lambda s: s.manifest.state, lambda s: s.manifest.state == "recorded"),
        condition("experiment", *_twice(lambda s: s.manifest.experiment), needed=True),
        condition("length", _length_words, _length, needed=True),
        condition("load", *_load_of(ramps=ramps), needed=True),
        condition("time scale", *_twice(lambda s: f"{s.plan.time_scale:g}"), needed=True),
        condition("faults", lambda s: _fault_words(s.plan), lambda s: _faults(s.plan), needed=True),
        condition("target", _target_words, _target, needed=True),
        condition(
            "experiment file",
            lambda s: s.manifest.experiment_sha256[:12],
            lambda s: s.manifest.experiment_sha256,
            needed=False,
        ),
        condition("objectives", _judge_words, _judge, needed=False),
        condition("workers", lambda s: crew_size(s.plan.generator), _crew, needed=False),
        condition("seed", *_twice(lambda s: str(s.plan.seed)), needed=False),
        *_versions(first.manifest, second.manifest),
        condition("git revision", *_twice(lambda s: s.manifest.git_revision), needed=False),
        condition("machine of the load", *_twice(_host_words), needed=False),
    )


def _twice(say: Callable[[Subject], str]) -> tuple[Callable[[Subject], str], ...]:
    """What is said is also what is compared."""
    return say, say


def why_not(one: Condition) -> str:
    """Why runs that differ in ``one`` cannot be compared, in a sentence."""
    match one.name:
        case "valid":
            sides = (("first", one.first), ("second", one.second))
            bad = [name for name, said in sides if said == "no"]
            if len(bad) > 1:
                return "Neither run was valid, so they prove nothing."
            return f"The {bad[0]} run was not valid, and so proves nothing."
        case "recording":
            return f"Not both recordings are whole: {one.first} and {one.second}."
        case "time scale":
            said = f"The time scales differ: {one.first} and {one.second}"
            return f"{said}; a rehearsal is no run of full length."
        case name if one.first == one.second:
            return f"In both runs the {name} reads {one.first}, and yet differs in its details."
        case "faults":
            return f"The faults differ: {one.first} against {one.second}."
        case name:
            return f"The {name} differs: {one.first} against {one.second}."


def _unscaled_s(plan: Plan, seconds: float) -> float:
    """A time of the plan without its time scale, so that a rehearsal differs in that alone."""
    return round(seconds / plan.time_scale, 3)


def _length(subject: Subject) -> float:
    return _unscaled_s(subject.plan, subject.plan.duration_s)


def _length_words(subject: Subject) -> str:
    return moment(_length(subject)) + (" before scaling" if subject.plan.rehearsal else "")


def _load_of(*, ramps: bool) -> tuple[Callable[[Subject], str], Callable[[Subject], Any]]:
    return lambda s: _load_words(s.plan), lambda s: _load(s.plan, ramps=ramps)


def _load(plan: Plan, *, ramps: bool) -> Any:
    """The load; without ``ramps`` only what a time scale leaves alone."""
    load, search = plan.experiment.load, plan.experiment.load.search
    stages = [
        (
            *(_unscaled_s(plan, at_s) for at_s in (one.start_s, one.end_s)),
            *(one.users_from, one.users_to, one.rate_from, one.rate_to),
            one.ramp_end_s if ramps else None,
        )
        for one in plan.stages
    ]
    rest = load.model_dump(exclude={"stages", "duration", "search"})
    return rest, stages, search and (search.start, search.end), plan.generator.arguments


def _load_words(plan: Plan) -> str:
    words = [load_size(plan), f"from {plan.experiment.load.locustfile}"]
    if len(plan.stages) > 1:
        words.append(count(len(plan.stages), "stage"))
    if plan.generator.arguments:
        words.append(" ".join(plan.generator.arguments))
    return ", ".join(words)


def _faults(plan: Plan) -> Any:
    return [
        (
            *(_unscaled_s(plan, at_s) for at_s in (one.start_s, one.end_s)),
            one.fault.model_dump(exclude={"at", "duration"}),
        )
        for one in plan.faults
    ]


def _fault_words(plan: Plan) -> str:
    said = []
    for one in plan.faults:
        what = getattr(one.fault, "service", "") or one.id
        start_s, end_s = (_unscaled_s(plan, at_s) for at_s in (one.start_s, one.end_s))
        said.append(
            f"{one.fault.kind} of {what} at {moment(start_s)} for {moment(end_s - start_s)}"
        )
    return listed(said, 4)


def _target(subject: Subject) -> Any:
    """What must be the same of a target. On machines alike, one sandbox is like another."""
    target, host = subject.manifest.target, subject.manifest.host
    if target is None:
        return None
    if target.kind == "sandbox":
        return target.kind, target.namespace, host.get("machine"), host.get("cpus")
    return target.kind, target.name, target.namespace, target.identity


def _target_words(subject: Subject) -> str:
    target, host = subject.manifest.target, subject.manifest.host
    if target is None:
        return ""
    if target.kind == "sandbox":
        machine = [host.get("machine", ""), f"{host.get('cpus', 'unknown')} CPUs"]
        return f"sandbox on {', '.join(filter(None, machine))}"
    return f"{target.name} ({target.identity})" if target.identity else target.name


def _judge(subject: Subject) -> Any:
    findings = subject.evaluation.findings
    # The value of a relative bound comes from its reference: another one is no other objective.
    return [(f.title, None if f.reference else f.bound) for f in findings if f.kind == "objective"]


def _judge_words(subject: Subject) -> str:
    number = len(_judge(subject))
    by = subject.evaluation.judged_by
    return count(number, "objective") + (f" of {by}" if by else "")


def _crew(subject: Subject) -> Any:
    return subject.plan.generator.workers, subject.plan.generator.remote_workers


def _host_words(subject: Subject) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted(subject.manifest.host.items()))


def _versions(first: Manifest, second: Manifest) -> list[Condition]:
    """Versions that differ; of all that are the same, one line."""
    names = [*dict.fromkeys([*first.versions, *second.versions])]
    pairs = [(name, first.versions.get(name, ""), second.versions.get(name, "")) for name in names]
    differ = [
        Condition(
            name=f"version of {name}",
            first=one or _NONE,
            second=two or _NONE,
            same=False,
            needed=False,
        )
        for name, one, two in pairs
        if one != two
    ]
    said = f"{first.versions.get('seatrial', '')}, {count(len(names), 'package')}"
    return differ or [Condition(name="versions", first=said, second=said, same=True, needed=False)]
