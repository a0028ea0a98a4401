"""The composition root: which adapter stands behind which port, one dict literal per seam.

The only module that sees both the conductor and the adapters. An unknown name is an error that
lists the known ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import RecordingError, SeatrialError, TargetError, UsageError
from runner.mistakes import closest
from runner.model.evaluation import Evaluation
from runner.model.experiment import Experiment
from runner.model.objective import Objective
from runner.model.objectiveset import ObjectiveSet
from runner.model.plan import Plan, scaled_objective
from runner.model.preview import Preview
from runner.model.recording import TargetInfo
from runner.model.target import SANDBOX, ClusterSpec, Config
from runner.ports import (
    FaultInjector,
    HealReport,
    LoadEngine,
    LoadProgress,
    Ports,
    SignalSource,
    Target,
)
from runner.process import SystemClock
from runner.store import RunDir, Store

if TYPE_CHECKING:
    from runner.analysis.comparable import Subject
    from runner.analysis.evidence import ReferenceRun
    from runner.targets.symptom import Symptom


def _locust(folders: Sequence[Path]) -> LoadEngine:
    from runner.load.engine import LocustEngine

    return LocustEngine(folders)


def _chaos_toolkit() -> FaultInjector:
    from runner.chaos.toolkit import ToolkitInjector

    return ToolkitInjector()


def _prometheus() -> SignalSource:
    from runner.signals.prometheus import PrometheusSource

    return PrometheusSource()


LOAD_ENGINES: dict[str, Callable[[Sequence[Path]], LoadEngine]] = {"locust": _locust}
FAULT_INJECTORS: dict[str, Callable[[], FaultInjector]] = {"chaostoolkit": _chaos_toolkit}
SIGNAL_SOURCES: dict[str, Callable[[], SignalSource]] = {"prometheus": _prometheus}


_FOLLOWED_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class TargetChoice:
    """Which target was asked for, by name and by flags.

    Attributes:
        sandbox_name: Name of the sandbox to use, where the target is one.
        keep: Leave a sandbox that the run started up.
        hold_s: How long the run may take.
        ignore_alerts: Whether a run may begin although alerts fire.
        tell: Called with what is used, in words, and with warnings.
        flags: What names the target on a command line, where its name alone does not.
    """

    name: str
    config: Config
    sandbox_name: str = "default"
    flags: str = ""
    keep: bool = False
    hold_s: float = 3600.0
    ignore_alerts: bool = False
    tell: Callable[[str], None] = lambda text: None


def make_target(choice: TargetChoice, folders: Sequence[Path] = ()) -> Target:
    """The target that ``choice`` names; locustfiles are looked for in ``folders``.

    Raises:
        UsageError: When there is none of that name; lists those there are.
    """
    if choice.name == SANDBOX:
        from runner.targets.sandbox_target import SandboxTarget

        return SandboxTarget(
            choice.sandbox_name,
            rules=choice.config.sandbox,
            ignore_alerts=choice.ignore_alerts,
            folders=folders,
            keep=choice.keep,
            hold_s=choice.hold_s,
            heal=_heal_left,
            tell=choice.tell,
        )
    from runner.targets.cluster import ClusterTarget

    return ClusterTarget(
        choice.name,
        cluster_spec(choice),
        flags=choice.flags,
        ignore_alerts=choice.ignore_alerts,
        folders=folders,
        hold_s=choice.hold_s,
        heal=_heal_left,
        tell=choice.tell,
    )


def _heal_left(target: TargetInfo, run_id: str) -> HealReport:
    """Heal what a run that is no more has left. The targets do not know who can do that."""
    return FAULT_INJECTORS["chaostoolkit"]().heal(run_id, None, target)


def locate_target(choice: TargetChoice) -> TargetInfo | None:
    """Where the target is, without starting anything; None when it is a sandbox that is not up."""
    if choice.name == SANDBOX:
        from runner.targets.sandbox_target import sandbox_info

        return sandbox_info(choice.sandbox_name, choice.config.sandbox)
    from runner.targets.cluster import cluster_info

    return cluster_info(choice.name, cluster_spec(choice), flags=choice.flags)


def preview_plan(choice: TargetChoice, plan: Plan, folders: Sequence[Path] = ()) -> Preview:
    """What a run of ``plan`` would do to the target as it is now; changes nothing.

    Args:
        choice: The target.
        plan: The plan.
        folders: Where the locustfile may be, so that it can be read.

    Raises:
        UsageError: When there is no target of that name; lists those there are.
    """
    from runner.chaos.preview import preview_faults
    from runner.targets.survey import readiness

    rules = choice.config.sandbox if choice.name == SANDBOX else cluster_spec(choice)
    try:
        info = locate_target(choice)
        if info is None:
            why = f"the sandbox {choice.sandbox_name!r} is not up"
            return Preview(target=choice.sandbox_name, why_not=why)
        ready = readiness(plan, info, rules, folders=folders, ignore_alerts=choice.ignore_alerts)
        faults = preview_faults(plan, info)
    except TargetError as error:  # It would end a run as well.
        return Preview(target=choice.name, why_not=str(error), refusals=(error.message,))
    return Preview(
        target=info.identity,
        namespace=info.namespace,
        refusals=ready.refusals,
        notes=ready.remarks,
        faults=faults,
        role=ready.role,
    )


def examine(choice: TargetChoice) -> tuple[Symptom, ...]:
    """What ``doctor`` finds on this machine, and on the target if it is up.

    Raises:
        UsageError: When there is no target of that name; lists those there are.
    """
    from runner.targets.doctor import examine_cluster, examine_machine, examine_sandbox

    if choice.name == SANDBOX:
        return (
            *examine_machine(sandbox=True),
            *examine_sandbox(choice.sandbox_name, choice.config.sandbox),
        )
    spec = cluster_spec(choice)
    return (*examine_machine(sandbox=False), *examine_cluster(choice.name, spec))


def cluster_spec(choice: TargetChoice) -> ClusterSpec:
    """The configuration of a target that is not the sandbox."""
    spec = choice.config.targets.get(choice.name)
    if spec is None:
        known = [SANDBOX, *choice.config.targets]
        guess = closest(choice.name, known)
        raise UsageError(
            f"there is no target {choice.name!r}" + (f"; did you mean {guess!r}?" if guess else ""),
            accepted=", ".join(known),
            hint="targets beside the sandbox are named in seatrial.yaml",
        )
    return spec


def make_ports(choice: TargetChoice, folders: Sequence[Path]) -> Ports:
    """The real world for one run; the Locust file is looked for in ``folders``."""
    return Ports(
        clock=SystemClock(),
        target=make_target(choice, folders),
        load=LOAD_ENGINES["locust"](folders),
        faults=FAULT_INJECTORS["chaostoolkit"](),
        signals=SIGNAL_SOURCES["prometheus"](),
    )


def evaluate_run(
    run: RunDir, others: ObjectiveSet | None = None, *, save: bool = True
) -> Evaluation:
    """Judge a recorded run and keep the evaluation in its folder.

    Args:
        run: The run. Earlier ones that objectives name are looked for in its results folder.
        others: Other objectives than those of its plan, as written, and what goes with them
            (groups, score, budget); None for those of the plan.
        save: Whether the folder keeps the evaluation, in place of the one before.

    Raises:
        RecordingError: When there is nothing to judge, because the load never started; says why.
        UsageError: When ``others`` define an own signal otherwise than it was recorded.
    """
    from runner.analysis.evaluate import evaluate

    recording = run.recording()
    if recording.manifest.anchor is None and not recording.load.users:
        why = recording.manifest.reason or recording.manifest.state
        if why in ("planned", "running"):  # nobody was there to write a reason down
            why = "its runner was killed, or has not come that far yet"
        raise RecordingError(f"the load of run {run.run_id} never started: {why}")
    plan = recording.plan
    chosen, rules = plan.experiment.objectives, None
    if others is not None:  # As written; those of the plan are scaled already.
        _same_signals(others, plan)
        chosen = tuple(scaled_objective(one, plan.time_scale) for one in others.objectives)
        own = {"groups": others.groups, "score": others.score, "budget": others.budget}
        rules = plan.experiment.model_copy(update=own)
    evaluation = evaluate(
        recording,
        None if others is None else chosen,
        "" if others is None else others.name,
        rules=rules,
        references=_references(run, plan, chosen, rules),
    )
    if save:
        run.write_evaluation(evaluation)
    return evaluation


def _same_signals(others: ObjectiveSet, plan: Plan) -> None:
    """See that a name means the same to ``others`` as to the run that was recorded.

    Raises:
        UsageError: When an own signal was asked for by another query, or taken otherwise.
    """
    recorded = plan.experiment.signals
    for name, signal in others.signals.items():
        known = recorded.get(name, signal)
        if (known.promql, known.unit, known.take) != (signal.promql, signal.unit, signal.take):
            raise UsageError(
                f"signal.{name} of {others.name!r} is not what this run recorded under that name",
                accepted=f"as recorded: {known.promql} ({known.take}, {known.unit})",
            )


def _references(
    run: RunDir, plan: Plan, objectives: Iterable[Objective], rules: Experiment | None
) -> dict[str, ReferenceRun]:
    """The earlier runs that ``objectives`` name, by that name, each read once."""
    bounds = [bound for one in objectives for bound in (one.bound, one.warn_bound) if bound]
    names = [bound.reference.run for bound in bounds if bound.reference and bound.reference.run]
    return {name: _reference(name, run, plan, rules) for name in dict.fromkeys(names)}


def _reference(name: str, run: RunDir, plan: Plan, rules: Experiment | None) -> ReferenceRun:
    from runner.analysis.evidence import ReferenceRun
    from runner.analysis.relative import reference_run

    try:
        earlier = earlier_run(name, run)
        return reference_run(name, earlier.recording(), plan, rules)
    except SeatrialError as error:  # Whatever is wrong with that one, this one can be judged.
        return ReferenceRun(name, reason=error.message)
    except (OSError, ValueError) as error:  # A name that no folder can have.
        return ReferenceRun(name, reason=f"there is no such run: {error}")


def earlier_run(name: str, run: RunDir) -> RunDir:
    """The run that ``run`` is compared with under ``name``: never itself, and none after it.

    Raises:
        UsageError: When there is none. ``latest`` is the newest one of the same experiment, and an
            experiment's name the newest of that; anything else is a run by its id or folder.
        RecordingError: When the one that is meant cannot be read.
    """
    folder = run.path.resolve()
    root = folder.parent.parent
    experiment = folder.parent if name == "latest" else root / name
    if name == "latest" or (experiment.is_dir() and not (experiment / "plan.json").exists()):
        # Ids begin with the time and sort by it. What never had load was no run.
        before = [
            one
            for one in Store(root).runs()
            if one.path.parent == experiment and one.run_id < folder.name
        ]
        for one in reversed(before):
            if one.read_manifest().anchor is not None:
                return one
        raise UsageError(f"there is no earlier run of {experiment.name}")
    found = Store(root).find(name)
    if found.path.resolve() == folder:
        raise UsageError(f"{name} is this run itself")
    # Not by the folder's name: people keep a run under a name of their own.
    if found.read_manifest().run_id > run.read_manifest().run_id:
        raise UsageError(f"{name} came after this run")
    return found


def report_run(run: RunDir) -> Path:
    """Write all forms of the report of an evaluated run; returns the page."""
    from runner.reports.write import write_reports

    return write_reports(run)


def write_run_index(store: Store, now_s: float) -> Path:
    """Write the page of all runs, as of the Unix time ``now_s``; returns it.

    Raises:
        RecordingError: When it cannot be written.
    """
    from runner.reports.runindex import write_index

    return write_index(store, now_s)


def subject_of(run: RunDir) -> Subject:
    """What a comparison looks at of a run; one that was never evaluated is judged, unsaved.

    Raises:
        RecordingError: When the run folder is torn or foreign, or its load never started.
    """
    from runner.analysis.comparable import Subject

    judged = run.evaluation_path.exists()
    evaluation = run.read_evaluation() if judged else evaluate_run(run, save=False)
    return Subject(run.read_manifest(), run.read_plan(), evaluation)


def follow_load(run: RunDir) -> Callable[[], LoadProgress]:
    """What gives, at each call, what is new in the record of the load of ``run``; a little of it.

    Raises (when called):
        LoadError: When the record is damaged.
    """
    from runner.load.seconds import SECONDS_FILE, SecondsReader

    return SecondsReader(run.load_dir / SECONDS_FILE, limit=_FOLLOWED_BYTES).progress
