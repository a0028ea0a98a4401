"""Plays the faults of a plan against a cluster that is only read, and prints what they would do.

A program of its own, because actions need Chaos Toolkit and the Kubernetes client, which the
command line does not load: ``python -m runner.chaos.previewing`` reads a plan and a target from
standard input, as JSON, and answers with one ``FaultPreview`` per fault.

What is played is what a run plays: the gate and the actions of the very experiment that the fault
compiles to. Waiting is left out, and activities of other people, which nobody could keep from
acting.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from chaoslib.exceptions import ActivityFailed

from runner.chaos import actions, probes
from runner.chaos.activities.shared import standing_in
from runner.chaos.budgets import refusals, selects
from runner.chaos.client import ApiRefusalError, Cluster, KubeCluster, one_line
from runner.chaos.compile import compile_fault
from runner.chaos.drycluster import Change, DryCluster
from runner.chaos.objectdiff import diff_of
from runner.chaos.objects import BUDGETS, ENVOY_FILTERS, NETWORK_POLICIES, PODS, Kind, Object
from runner.chaos.pods import is_ready
from runner.errors import SeatrialError
from runner.model.fault import PodKill
from runner.model.plan import Plan, PlannedFault
from runner.model.preview import FaultPreview, ObjectPreview, PodPreview
from runner.model.recording import TargetInfo

RUN_ID = "preview"
"""The run that a preview is of has no id yet; this stands in names instead."""

FAULT_BOUND_S = 20

_OURS = {"runner.chaos.actions": actions, "runner.chaos.probes": probes}
_LEFT_OUT = {
    "wait_until": "",
    "mark_fault": "a ConfigMap would mark the fault while it is on",
}
"""Actions of ours that are not played, and what is said instead."""


def preview_fault(
    planned: PlannedFault, target: TargetInfo, cluster: Cluster, now_s: float
) -> FaultPreview:
    """What ``planned`` would do if it began at the Unix time ``now_s``; nothing is changed."""
    dry = DryCluster(cluster)
    notes: list[str] = []
    try:
        experiment = compile_fault(planned, target, RUN_ID, now_s)
        with standing_in(dry), _bounded(planned.id):
            problem = _play(experiment, now_s, notes)
    except SeatrialError as error:
        problem = one_line(error)
    fault = planned.fault
    moments = fault.moments(planned.seed) if isinstance(fault, PodKill) else ()
    chosen = _chosen(dry)
    gone = [dry.pods_seen[c.name] for c in _changes_of(dry, PODS) if c.after is None]
    notes += [f"now, {said}" for said in _refused(dry, cluster, target.namespace, gone)]
    return FaultPreview(
        id=planned.id,
        problem=problem,
        seed=planned.seed,
        pods=tuple(_pod(pod, chosen) for _, pod in sorted(dry.pods_seen.items())),
        changes=tuple(
            ObjectPreview(
                subject=change.kind.subject(change.name),
                deed=change.deed,
                diff=diff_of(change) if change.deed in ("create", "replace") else "",
            )
            for change in dry.changes.values()
        ),
        moments_s=tuple(planned.start_s + at_s for at_s in moments),
        notes=tuple(notes),
    )


def _changes_of(dry: DryCluster, *kinds: Kind) -> list[Change]:
    return [change for change in dry.changes.values() if change.kind in kinds]


def _chosen(dry: DryCluster) -> set[str]:
    """Names of the pods that would be hit: changed themselves, or selected by what is made."""
    chosen = {change.name for change in _changes_of(dry, PODS)}
    for change in _changes_of(dry, ENVOY_FILTERS, NETWORK_POLICIES):
        spec = (change.after or {}).get("spec") or {}
        of_filter = (spec.get("workloadSelector") or {}).get("labels")
        selector = spec.get("podSelector") or (of_filter and {"matchLabels": of_filter})
        chosen |= {
            name
            for name, pod in dry.pods_seen.items()
            if selects(selector, pod["metadata"].get("labels") or {})
        }
    return chosen


def _refused(dry: DryCluster, cluster: Cluster, namespace: str, gone: list[Object]) -> list[str]:
    """What PodDisruptionBudgets say to the going of ``gone``, also where only the server asks."""
    if not gone:
        return []
    try:
        budgets = dry.budgets_seen or cluster.items(BUDGETS, namespace)
    except ApiRefusalError as error:
        return [f"PodDisruptionBudgets cannot be read: {error.message}"]
    return refusals(budgets, gone)


def _play(experiment: Mapping[str, Any], now_s: float, notes: list[str]) -> str:
    """Play the gate and the actions; the reason why one of them failed, or an empty text."""
    gate = (experiment.get("steady-state-hypothesis") or {}).get("probes") or ()
    acts = [one for one in experiment["method"] if one["type"] == "action"]
    foreign = [one["name"] for one in (*gate, *acts) if _ours(one) is None]
    if foreign:
        notes.append(
            f"not played in a preview, because nobody could keep them from acting: "
            f"{', '.join(foreign)}"
        )
    for one in (*gate, *acts):
        function = _ours(one)
        if function is None:
            continue
        if (name := one["provider"]["func"]) in _LEFT_OUT:
            notes += [_LEFT_OUT[name]] if _LEFT_OUT[name] else []
            continue
        try:
            function(**_at_once(one["provider"].get("arguments") or {}, now_s))
        except ActivityFailed as error:
            return str(error)
    return ""


def _ours(activity: Mapping[str, Any]) -> Any:
    provider = activity["provider"]
    module = _OURS.get(str(provider.get("module")))
    return None if module is None else getattr(module, str(provider.get("func")), None)


def _at_once(arguments: Mapping[str, Any], now_s: float) -> dict[str, Any]:
    """The arguments of an action that is not to wait for anything: its first moment alone."""
    changed = {
        key: now_s
        for key in arguments
        if key.endswith("until_wall_s") and arguments[key] is not None
    }
    if moments := arguments.get("moments_wall_s"):
        changed["moments_wall_s"] = moments[:1]
    return {**arguments, **changed}


def _pod(pod: Mapping[str, Any], chosen: set[str]) -> PodPreview:
    metadata = pod["metadata"]
    return PodPreview(
        name=metadata["name"],
        uid=str(metadata.get("uid") or ""),
        node=str((pod.get("spec") or {}).get("nodeName") or ""),
        ready=is_ready(dict(pod)),
        chosen=metadata["name"] in chosen,
    )


@contextmanager
def _bounded(fault_id: str) -> Iterator[None]:
    """Ends an action that waits for what will not come, because nothing was really done."""

    def over(number: int, frame: object) -> None:
        raise ActivityFailed(f"the preview of {fault_id} took more than {FAULT_BOUND_S} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(FAULT_BOUND_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def main() -> int:
    """Read, play, print; the exit code says whether there is an answer."""
    asked = json.load(sys.stdin)
    plan = Plan.model_validate_json(json.dumps(asked["plan"]))
    target = TargetInfo.model_validate(asked["target"])
    try:
        cluster = KubeCluster(asked["kubeconfig"], target.context)
        now_s = time.time()
        found = [preview_fault(planned, target, cluster, now_s) for planned in plan.faults]
    except SeatrialError as error:
        sys.stderr.write(f"{one_line(error)}\n")
        return 1
    json.dump([one.model_dump(mode="json") for one in found], sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
