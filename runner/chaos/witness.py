"""The control that watches somebody else's activities, and says what became of them.

Chaos Toolkit takes a program that failed, or an HTTP answer of 500, for a success; it hands secrets
to the journal by way of what activities answer; it lets an activity swallow SIGTERM. This control,
which our experiments name, mends that for the experiment that it stands in:

* what an activity's answer says against its success makes it a failed one;
* what is secret is blotted out of the journal and of the log;
* where it is strict, as in exported experiments, a failed activity fails the experiment;
* SIGTERM ends the experiment, with its rollbacks, whatever runs at that moment.

Each action that succeeded goes on record as an effect. State lives as long as the experiment's
process, which runs one experiment.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from chaoslib.exceptions import InterruptExecution

from runner.chaos.activities.around import EXIT_WITH_ROLLBACKS
from runner.chaos.effects import record
from runner.chaos.redaction import Blotter, CleanStream, blotter_of
from runner.errors import FaultError
from runner.readback import activity_problem

log = logging.getLogger("chaostoolkit")

MODULE: Final = "runner.chaos.witness"
OURS: Final = "runner.chaos."
NEVER_BEGUN: Final = "nothing was begun, so no rollback is played"


@dataclass(slots=True)
class Watched:
    """What is known of the experiment that this process runs.

    Attributes:
        skip_unmarked: Whether no rollback is played where the marker never was in place.
        strict: Whether the experiment fails with any of its activities.
        phase: ``method`` or ``rollbacks``.
        outcomes: Name of an activity to how each of its executions in this phase ended; empty for
            success.
        marked: Whether the fault's marker is known to be there, or may be.
        ended: Why the experiment was ended before its time; empty while it was not.
    """

    experiment: Mapping[str, Any]
    configuration: Mapping[str, Any]
    secrets: Mapping[str, Any]
    blotter: Blotter
    skip_unmarked: bool = False
    strict: bool = False
    phase: str = "method"
    outcomes: dict[str, list[str]] = field(default_factory=dict)
    marked: bool = False
    ended: str = ""
    changed: threading.Condition = field(default_factory=threading.Condition)

    def saw(self, name: str, problem: str) -> None:
        """An activity has ended."""
        with self.changed:
            self.outcomes.setdefault(name, []).append(problem)
            self.changed.notify_all()

    def outcomes_of(self, names: Sequence[str], within_s: float) -> list[str]:
        """What became of activities of this phase, those in the background included.

        Returns:
            A sentence for each that failed, or has not ended within ``within_s``; empty when all of
            them succeeded.
        """
        wanted = {name: list(names).count(name) for name in names}

        def all_ended() -> bool:
            return all(len(self.outcomes.get(name, ())) >= n for name, n in wanted.items())

        with self.changed:
            self.changed.wait_for(all_ended, within_s)
            said = []
            for name, times in wanted.items():
                ended = self.outcomes.get(name, [])
                said += [f"{name}: {problem}" for problem in ended if problem]
                said += [f"{name}: it has not ended"] if len(ended) < times else []
            return said


_watched: list[Watched] = []
"""The one that is watched, if any."""


def watched() -> Watched:
    """What is known of the experiment that this process runs.

    Raises:
        FaultError: When the experiment does not name this control.
    """
    if not _watched:
        raise FaultError(
            "nobody has watched the activities of this experiment",
            accepted=f"an experiment with the control {MODULE}",
        )
    return _watched[-1]


# -- what Chaos Toolkit calls ----------------------------------------------------------------------


def validate_control(control: Mapping[str, Any]) -> None:
    """Before anything of the experiment is carried out: hide what is already known to be secret."""
    names = ((control.get("provider") or {}).get("arguments") or {}).get("hidden") or ()
    _blot_out(blotter_of({name: os.environ.get(name, "") for name in names}))


def configure_control(
    experiment: Mapping[str, Any],
    configuration: Mapping[str, Any] | None = None,
    secrets: Mapping[str, Any] | None = None,
    skip_unmarked: bool = False,
    strict: bool = False,
    **_: Any,
) -> None:
    """Begin to watch."""
    blotter = blotter_of(secrets or {})
    known = (experiment, configuration or {}, secrets or {}, blotter)
    _watched[:] = [Watched(*known, skip_unmarked=skip_unmarked, strict=strict)]
    _blot_out(blotter)
    if threading.current_thread() is threading.main_thread():
        # Not an Exception, so that no activity can take it for its own. The library puts its own
        # handler back when the experiment is over.
        signal.signal(signal.SIGTERM, _end_now)


def _blot_out(blotter: Blotter) -> None:
    if not blotter.words:
        return
    for handler in log.handlers:
        handler.addFilter(blotter.clean_record)
    sys.stdout, sys.stderr = CleanStream(sys.stdout, blotter), CleanStream(sys.stderr, blotter)


def _end_now(number: int, frame: object) -> None:
    if _watched:
        _watched[-1].ended = "SIGTERM was received"
    raise SystemExit(EXIT_WITH_ROLLBACKS)


def before_rollback_control(context: Any, **_: Any) -> None:
    """From now on, activities are rollbacks; none of them is played for nothing."""
    state = watched()
    with state.changed:
        state.phase = "rollbacks"
        state.outcomes.clear()
    never = bool(state.experiment.get("method")) and not state.marked
    if state.skip_unmarked and never:
        raise InterruptExecution(NEVER_BEGUN)


def after_activity_control(context: Any, state: Any = None, **_: Any) -> None:
    """See how an activity ended, and say so where the library does not."""
    now = watched()
    name, run = str(context.get("name", "")), state if isinstance(state, dict) else {}
    problem = activity_problem(run) if run else "it was interrupted"
    if problem and run.get("status") == "succeeded":
        run["status"], run["exception"] = "failed", [now.blotter.clean(problem) + "\n"]
        log.error("  => failed: %s", problem)
    if not problem and _is_foreign_action(context):
        # In an experiment of several faults, the rollbacks of one are part of the method as well.
        undoes = now.phase == "rollbacks" or context in (now.experiment.get("rollbacks") or ())
        record("removed" if undoes else "injected", f"activity/{name}")
    now.saw(name, problem)


def _is_foreign_action(activity: Mapping[str, Any]) -> bool:
    module = str((activity.get("provider") or {}).get("module", ""))
    return activity.get("type") == "action" and not module.startswith(OURS)


def after_experiment_control(context: Any, state: Any = None, **_: Any) -> None:
    """Let the journal say what happened, and nothing that is secret."""
    now = watched()
    if not isinstance(state, dict):
        return
    if now.ended:
        state["status"] = "interrupted"
        for item in (*(state.get("run") or ()), *(state.get("rollbacks") or ())):
            if "status" not in item:
                item["status"], item["exception"] = "failed", [now.ended + "\n"]
    if now.strict and state.get("status") == "completed" and (failed := _failed(state)):
        # The library calls it completed when no probe of the hypothesis failed, and exits with 0.
        state["status"] = "failed"
        log.error("Activities failed, and so did the experiment: %s", ", ".join(failed))
    cleaned = now.blotter.clean(state)
    state.clear()
    state.update(cleaned)


def _failed(journal: Mapping[str, Any]) -> list[str]:
    """Names of the activities that did not succeed, each once."""
    items = (*(journal.get("run") or ()), *(journal.get("rollbacks") or ()))
    failed = [one for one in items if one.get("status") not in ("succeeded", "skipped")]
    return list(dict.fromkeys(str(one["activity"].get("name", "")) for one in failed))
