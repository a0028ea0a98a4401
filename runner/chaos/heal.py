"""Finding what faults left behind, by name, and taking it away: a program and a function.

``python -m runner.chaos.heal --namespace N (--run R [--fault F] | --all | --expired)`` prints a
report as JSON and ends with 0 when it has looked again and nothing is left, with 5 when something
is, and with 3 when it could not even look. It needs a kubeconfig and nothing else: no memory of an
injection, no run folder, no process. It may run any number of times, at the same time as others.

Pods that were killed are not healed: their Deployment does that, and ``ready`` among the effects of
the fault is the evidence.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

from runner.chaos.annotation import fault_key
from runner.chaos.carriers import CARRIERS, Carrier
from runner.chaos.client import (
    ApiRefusalError,
    Cluster,
    KubeCluster,
    edit,
    one_line,
    patiently,
)
from runner.chaos.objects import Object
from runner.errors import ExitCode, SeatrialError
from runner.model.faultmark import marks_on

log = logging.getLogger(__name__)

MAX_PASSES = 4
SETTLE_S = 0.25
"""Pause before looking again: a request of a killed injector may still be under way."""

DEADLINE_S = 10.0
CAME_BACK = "it came back each time it was removed"


@dataclass(frozen=True, slots=True)
class Scope:
    """What is to be healed.

    Attributes:
        namespace: Where to look; everywhere (as far as allowed) when ``everywhere``.
        run: Only faults of this run, unless empty.
        fault: Only this fault of the run, unless empty.
        expired: Only faults whose time is over. Copies without a readable tag count as such:
            nobody can tell how long they should stay.
        everywhere: Look in all namespaces.
    """

    namespace: str
    run: str = ""
    fault: str = ""
    expired: bool = False
    everywhere: bool = False

    def keys(self, carrier: Carrier, obj: Object, now_s: float) -> set[str]:
        """Keys of the faults on ``obj`` that are in scope at Unix time ``now_s``."""
        found = carrier.faults_on(obj)
        if self.expired:
            found = {key: tag for key, tag in found.items() if tag is None or tag.expired(now_s)}
        if not self.run:
            return set(found)
        start = fault_key(self.run, self.fault)
        return {
            key
            for key, tag in found.items()
            if (key == start if self.fault else key.startswith(start))
            and (tag is None or tag.run.lower() == self.run.lower())
        }


@dataclass(slots=True)
class Healing:
    """What a heal did; ``left``, ``others`` and ``notes`` are sentences.

    Attributes:
        others: Faults that are there and were not asked for.
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
) -> Healing:
    """Remove every fault in ``scope``, and look again until a look finds nothing.

    Args:
        cluster: Where.
        scope: What.
        deadline_s: Bound for all of it, in seconds.
        settle_s: Pause before looking again.
        sleep: Waits.

    Raises:
        ApiRefusalError: When the objects cannot be listed: nobody knows what is left.
    """
    healer = _Healer(cluster, scope, time.monotonic() + deadline_s, sleep)
    found, reasons = healer.look(), {}
    for _ in range(MAX_PASSES):
        reasons = {_subject(obj): healer.heal(carrier, obj, keys) for carrier, obj, keys in found}
        sleep(settle_s)
        found = healer.look()
        if not found or time.monotonic() >= healer.until_s:
            break
    left = [f"{_subject(obj)}: {reasons.get(_subject(obj)) or CAME_BACK}" for _, obj, _ in found]
    healer.report.left = left
    return healer.report


Found = tuple[Carrier, Object, set[str]]


@dataclass(slots=True)
class _Healer:
    cluster: Cluster
    scope: Scope
    until_s: float
    sleep: Callable[[float], None]
    report: Healing = field(default_factory=Healing)

    def look(self) -> list[Found]:
        """The objects that carry something in scope, with the keys of what they carry.

        Raises:
            ApiRefusalError: When the API server does not answer, or shows us nothing at all.
        """
        self.report.looked_at, self.report.others, self.report.notes = 0, [], []
        found: list[Found] = []
        refused: list[ApiRefusalError] = []
        for carrier in CARRIERS:
            try:
                found += self._look_at(carrier)
            except ApiRefusalError as error:
                # What we may not even see, we cannot have changed; what is not served is not there.
                if error.status not in (403, 404):
                    raise
                refused.append(error)
                if error.status == 403:
                    self.report.notes.append(f"not looked at: {error.message}")
        if len(refused) == len(CARRIERS):
            raise refused[0]
        return found

    def _look_at(self, carrier: Carrier) -> list[Found]:
        objects = self._objects(carrier)
        self.report.looked_at += len(objects)
        now_s = time.time()
        in_scope = [(carrier, obj, self.scope.keys(carrier, obj, now_s)) for obj in objects]
        self.report.others += [
            mark.sentence
            for _, obj, keys in in_scope
            for mark in marks_on(obj)
            if fault_key(mark.run, mark.fault) not in keys
        ]
        return [entry for entry in in_scope if entry[2]]

    def heal(self, carrier: Carrier, obj: Object, keys: set[str]) -> str:
        """Why ``obj`` could not be healed; empty when it was, or is gone as a whole."""
        try:
            edit(
                self.cluster,
                carrier.kind,
                obj,
                lambda now: carrier.without(now, keys),
                deadline_s=self._left_s(),
                pause=self.sleep,
            )
        except ApiRefusalError as error:
            return error.message
        if _subject(obj) not in self.report.removed:
            self.report.removed.append(_subject(obj))
        return ""

    def _objects(self, carrier: Carrier) -> list[Object]:
        namespace = self.scope.namespace
        if not self.scope.everywhere or not carrier.kind.namespaced:
            return self._list(carrier, namespace)
        try:
            return self._list(carrier, None)
        except ApiRefusalError as error:
            if error.status != 403:
                raise
            self.report.notes.append(f"only {namespace} was looked at: {error.message}")
            return self._list(carrier, namespace)

    def _list(self, carrier: Carrier, namespace: str | None) -> list[Object]:
        found: list[Object] = patiently(
            lambda: self.cluster.items(carrier.kind, namespace, carrier.selector),
            deadline_s=self._left_s(),
            pause=self.sleep,
        )
        return found

    def _left_s(self) -> float:
        return max(1.0, self.until_s - time.monotonic())


def _subject(obj: Object) -> str:
    metadata, kind = obj["metadata"], str(obj["kind"]).lower()
    where = f" in {metadata['namespace']}" if metadata.get("namespace") else ""
    return f"{kind}/{metadata['name']}{where}"


# -- the program -------------------------------------------------------------------------------


def main(
    argv: Sequence[str] | None = None, connect: Callable[[str, str], Cluster] = KubeCluster
) -> int:
    """Heal as the arguments say, print the report, and return the exit code.

    Args:
        argv: Arguments; those of the process by default.
        connect: Gives the cluster of a kubeconfig and a context.
    """
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    options = _parser().parse_args(argv)
    scope = Scope(
        namespace=options.namespace,
        run=options.run or "",
        fault=options.fault or "",
        expired=options.expired,
        everywhere=options.everywhere,
    )
    try:
        report = heal(
            connect(options.kubeconfig, options.context), scope, deadline_s=options.deadline
        )
    except SeatrialError as error:
        return _say({"error": one_line(error)}, ExitCode.INCONCLUSIVE)
    code = ExitCode.LEFT_BROKEN if report.left else ExitCode.PASS
    return _say(asdict(report), code)


def _say(report: dict[str, object], code: ExitCode) -> int:
    sys.stdout.write(json.dumps(report) + "\n")
    sys.stdout.flush()
    return int(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m runner.chaos.heal", description=__doc__)
    parser.add_argument("--kubeconfig", default="", help="default: KUBECONFIG")
    parser.add_argument("--context", default="", help="default: the current context")
    parser.add_argument("--namespace", "-n", required=True)
    parser.add_argument("--everywhere", action="store_true", help="look in all namespaces")
    parser.add_argument("--deadline", type=float, default=DEADLINE_S, help="seconds")
    parser.add_argument("--fault", help="only this fault of the run")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--run", help="what this run left")
    which.add_argument("--all", action="store_true", help="whatever any run left")
    which.add_argument("--expired", action="store_true", help="whatever is past its time")
    return parser


if __name__ == "__main__":
    sys.exit(main())
