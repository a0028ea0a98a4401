"""Finding what faults left behind, by name, and taking it away: a program and a function.

``python -m runner.chaos.heal --namespace N (--run R [--fault F] | --all | --expired)`` prints a
report as JSON and ends with 0 when it has looked again and nothing is left, with 5 when something
is, or when some objects could not be looked at, and with 3 when none could. It needs a kubeconfig
(or, with ``--in-cluster``, a service account) and nothing else: no memory of an injection, no run
folder, no process. It may run any number of times, at the same time as others.

Pods that were killed are not healed: their Deployment does that, and ``ready`` among the effects of
the fault is the evidence. Faults that are somebody else's Chaos Toolkit activities have rollbacks
of their own; they are played where the run's folder is, and only named elsewhere.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from runner.chaos.annotation import PREFIX, Tag
from runner.chaos.carriers import Carrier
from runner.chaos.client import (
    READ_S,
    ApiRefusalError,
    Cluster,
    KubeCluster,
    edit,
    one_line,
)
from runner.chaos.login import SERVICE_ACCOUNT
from runner.chaos.looking import MOST_SILENCES, Found, Look, Looker, Scope
from runner.chaos.objects import Object
from runner.errors import ExitCode, FaultError, SeatrialError
from runner.model.faultmark import EXPIRY_MARGIN_S
from runner.store import RunDir

__all__ = ["Healing", "Play", "Scope", "heal", "main", "rollback_player"]

log = logging.getLogger(__name__)

MAX_PASSES = 4
SETTLE_S = 0.25
"""Pause before looking again: a request of a killed injector may still be under way."""

DEADLINE_S = 10.0
CAME_BACK = "it came back each time it was removed"

Play = Callable[[str, str], list[str]]
"""Plays the rollbacks of a fault, by run and fault; returns why it is not undone, or nothing."""


@dataclass(slots=True)
class Healing:
    """What a heal did; ``left``, ``others`` and ``notes`` are sentences.

    Attributes:
        removed: Objects that were changed back or deleted.
        left: Each object that still carries a fault: which one, and why. Also each kind of object
            that could not be looked at.
        others: Faults that are there and were not asked for.
        notes: What nobody may look at.
        looked_at: Number of objects.
    """

    removed: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list, compare=False)
    notes: list[str] = field(default_factory=list)
    looked_at: int = 0


def heal(
    cluster: Cluster,
    scope: Scope,
    *,
    deadline_s: float = DEADLINE_S,
    settle_s: float = SETTLE_S,
    sleep: Callable[[float], None] = time.sleep,
    play: Play | None = None,
) -> Healing:
    """Remove every fault in ``scope``, and look again until a look finds nothing.

    Args:
        cluster: Where.
        scope: What.
        deadline_s: Bound for all of it, in seconds; a request that is under way is waited for.
        settle_s: Pause before looking again.
        sleep: Waits.
        play: Plays rollbacks that are kept in a run's folder, where that is at hand.

    Raises:
        ApiRefusalError: When nothing can be listed: nobody knows what is left.
    """
    until_s = time.monotonic() + deadline_s
    healer = _Healer(cluster, Looker(cluster, scope, sleep), until_s, sleep, play)
    try:
        look = healer.looker.look(until_s - deadline_s / 2)  # The rest is for what it finds.
    except ApiRefusalError as error:
        if not error.transient:
            raise
        look = healer.looker.look(until_s)
    seen: list[Found] = []
    reasons: dict[str, str] = {}
    for _ in range(MAX_PASSES):
        seen = look.found
        reasons = {_subject(obj): healer.undo(carrier, obj, keys) for carrier, obj, keys in seen}
        sleep(settle_s)
        try:
            look = healer.looker.look(until_s)
        except ApiRefusalError as error:
            if not seen:
                raise
            look = Look(unseen={"what was healed": f"no second look: {error.message}"})
            break
        if not look.found or time.monotonic() >= until_s:
            break
    left = [
        f"{_subject(obj)}: {_words(carrier, obj, keys)}: "
        f"{reasons.get(_subject(obj)) or _why_back(obj)}"
        for carrier, obj, keys in look.found
    ]
    if not look.found and look.unseen:  # What we could not undo, and cannot see any more.
        left += [
            f"{_subject(obj)}: {_words(carrier, obj, keys)}: {why}"
            for carrier, obj, keys in seen
            if (why := reasons[_subject(obj)])
        ]
    report = healer.report
    report.left = left + [f"{what}: {why}" for what, why in look.unseen.items()]
    report.others, report.notes, report.looked_at = look.others, look.notes, look.looked_at
    return report


@dataclass(slots=True)
class _Healer:
    cluster: Cluster
    looker: Looker
    until_s: float
    sleep: Callable[[float], None]
    play: Play | None
    report: Healing = field(default_factory=Healing)
    silences: int = 0

    def undo(self, carrier: Carrier, obj: Object, keys: set[str]) -> str:
        """Why ``obj`` could not be healed; empty when it was, or is gone as a whole."""
        if carrier.rollback_elsewhere and (why := self._play(carrier, obj, keys)):
            return why
        left_s = self.until_s - time.monotonic()
        if left_s < 0 and self.silences >= MOST_SILENCES:
            return "nobody answers, and the time is over"
        try:
            edit(
                self.cluster,
                carrier.kind,
                obj,
                partial(self._without, carrier),
                deadline_s=max(0.0, left_s),
                pause=self.sleep,
            )
        except ApiRefusalError as error:
            self.silences = 0 if error.status else self.silences + 1
            return one_line(error)
        except FaultError as error:
            return one_line(error)
        except Exception as error:  # One odd object must not keep all others from being healed.
            log.exception("%s is not healed", _subject(obj))
            return f"it cannot be understood: {error}"
        if _subject(obj) not in self.report.removed:
            self.report.removed.append(_subject(obj))
        return ""

    def _without(self, carrier: Carrier, now: Object) -> Object | None:
        """``now`` without what is in scope *now*: since the look, its time may have changed."""
        keys = self.looker.keys(carrier, now, time.time())
        return carrier.without(now, keys) if keys else now

    def _play(self, carrier: Carrier, obj: Object, keys: set[str]) -> str:
        """Undo a fault whose rollbacks are in its run's folder; why that did not work."""
        tags = carrier.faults_on(obj)
        problems = []
        for key in sorted(keys):
            tag = tags.get(key)
            if tag is None or self.play is None:
                problems.append(_elsewhere(obj, tag))
            else:
                problems += self.play(tag.run, tag.fault)
        return "; ".join(problems)


def rollback_player(run_folder: Path) -> Play:
    """Plays the rollbacks that are kept in the folder of a run, for faults of that run.

    Once for each fault, however often a heal looks: what failed a moment ago takes seconds to fail
    again, and others wait for their heal.
    """
    folder = RunDir(run_folder)
    said: dict[str, list[str]] = {}

    def play(run: str, fault: str) -> list[str]:
        if run.lower() != folder.run_id.lower():
            return [f"its rollbacks are in the folder of run {run}: seatrial heal {run}"]
        from runner.chaos.foreign import play_rollbacks

        if fault not in said:
            said[fault] = play_rollbacks(folder.fault_dir(fault))
        return said[fault]

    return play


def _elsewhere(obj: Object, tag: Tag | None) -> str:
    """Where a fault is undone that we cannot undo, and how."""
    name, namespace = obj["metadata"]["name"], obj["metadata"].get("namespace", "")
    where = "in the folder of its run, where that was started"
    command = "there: seatrial heal RUN"
    if tag is not None:
        where = f"in the folder of run {tag.run}, where {tag.owner} has started it"
        command = f"there: seatrial heal {tag.run}"
    by_hand = f"kubectl -n {namespace} delete configmap {name}"
    return (
        f"its rollbacks are kept {where}; {command} "
        f"(or, when it has been undone by hand: {by_hand})"
    )


def _words(carrier: Carrier, obj: Object, keys: Iterable[str]) -> str:
    """``fault 01-abort of run R``: what the object carries, for people."""
    tags = carrier.faults_on(obj)
    told = []
    for key in sorted(keys):
        tag = tags.get(key)
        name = key.removeprefix(PREFIX)
        told.append(f"fault {tag.fault} of run {tag.run}" if tag else f"fault {name}")
    return ", ".join(told)


def _why_back(obj: Object) -> str:
    metadata = obj["metadata"]
    if metadata.get("deletionTimestamp") and metadata.get("finalizers"):
        return f"it is being deleted, but waits for {', '.join(metadata['finalizers'])}"
    return CAME_BACK


def _subject(obj: Object) -> str:
    metadata, kind = obj["metadata"], str(obj["kind"]).lower()
    where = f" in {metadata['namespace']}" if metadata.get("namespace") else ""
    return f"{kind}/{metadata['name']}{where}"


# -- the program -------------------------------------------------------------------------------


def main(
    argv: Sequence[str] | None = None, connect: Callable[[str, str], Cluster] | None = None
) -> int:
    """Heal as the arguments say, print the report, and return the exit code.

    Args:
        argv: Arguments; those of the process by default.
        connect: Gives the cluster of a kubeconfig and a context; a real one by default.
    """
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    options = _parser().parse_args(argv)
    scope = Scope(
        namespace=options.namespace,
        run=options.run or "",
        fault=options.fault or "",
        expired=options.expired,
        everywhere=options.everywhere,
        margin_s=options.margin,
        expected=frozenset(options.expect),
    )
    try:
        cluster = connect(options.kubeconfig, options.context) if connect else _connect(options)
        play = rollback_player(Path(options.run_folder)) if options.run_folder else None
        report = heal(cluster, scope, deadline_s=options.deadline, play=play)
    except SeatrialError as error:
        return _say({"error": one_line(error)}, ExitCode.INCONCLUSIVE)
    code = ExitCode.LEFT_BROKEN if report.left else ExitCode.PASS
    return _say(asdict(report), code)


def _connect(options: argparse.Namespace) -> Cluster:
    return KubeCluster(
        options.kubeconfig,
        options.context,
        in_cluster=options.service_account if options.in_cluster else "",
        read_s=options.request_timeout,
    )


def _say(report: dict[str, object], code: ExitCode) -> int:
    sys.stdout.write(json.dumps(report) + "\n")
    sys.stdout.flush()
    return int(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m runner.chaos.heal", description=__doc__)
    parser.add_argument("--kubeconfig", default="", help="default: KUBECONFIG")
    parser.add_argument("--context", default="", help="default: the current context")
    parser.add_argument("--in-cluster", action="store_true", help="as this pod's service account")
    parser.add_argument("--service-account", default=SERVICE_ACCOUNT, help="its folder")
    parser.add_argument("--namespace", "-n", required=True)
    parser.add_argument("--everywhere", action="store_true", help="look in all namespaces")
    parser.add_argument("--deadline", type=float, default=DEADLINE_S, help="seconds")
    parser.add_argument("--request-timeout", type=float, default=READ_S, help="seconds")
    parser.add_argument("--fault", help="only this fault of the run")
    parser.add_argument("--run-folder", default="", help="of the run, with rollbacks of its own")
    parser.add_argument(
        "--expect", action="append", default=[], help="an object that was changed: kind/name"
    )
    parser.add_argument(
        "--margin",
        type=float,
        default=EXPIRY_MARGIN_S,
        help="with --expired: seconds by which clocks may differ",
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--run", help="what this run left")
    which.add_argument("--all", action="store_true", help="whatever any run left")
    which.add_argument("--expired", action="store_true", help="whatever is past its time")
    return parser


if __name__ == "__main__":
    sys.exit(main())
