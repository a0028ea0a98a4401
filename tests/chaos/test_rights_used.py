"""What each kind of fault asks of the API server, held against the table of rights."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pytest
from chaoslib.exceptions import ActivityFailed
from preview_world import EVERY_KIND, TARGET, shop

from runner.chaos import actions, probes
from runner.chaos.activities.shared import standing_in
from runner.chaos.compile import compile_fault
from runner.chaos.objects import (
    AUTOSCALERS,
    BUDGETS,
    CONFIG_MAPS,
    DEPLOYMENTS,
    ENVOY_FILTERS,
    NETWORK_POLICIES,
    NODES,
    PODS,
    SERVICES,
    VIRTUAL_SERVICES,
)
from runner.model.plan import PlannedFault
from runner.model.rights import Right, rights_of

VERBS = {"items": "list", "read": "get", "create": "create", "replace": "update"}
KINDS = {
    kind.plural: kind
    for kind in (
        *(AUTOSCALERS, BUDGETS, CONFIG_MAPS, DEPLOYMENTS, ENVOY_FILTERS, NETWORK_POLICIES, NODES),
        *(PODS, SERVICES, VIRTUAL_SERVICES),
    )
}


def right(call: str) -> Right:
    """The right that a call of the port takes."""
    method, plural = call.split()
    kind = KINDS[plural]
    if method == "evict":
        return Right("", "pods/eviction", "create")
    return Right(kind.group, plural, VERBS.get(method, method), kind.namespaced)


def arguments_now(activity: dict[str, Any], now_s: float) -> dict[str, Any]:
    """The activity's arguments, with every moment moved to now: nothing is waited for."""
    given: dict[str, Any] = activity["provider"].get("arguments") or {}
    ends = {key: now_s for key in given if key.endswith("until_wall_s")}
    moments = {"moments_wall_s": [now_s]} if "moments_wall_s" in given else {}
    return {**given, **ends, **moments}


@pytest.mark.parametrize(
    "fault",
    [fault for fault in EVERY_KIND if fault.fault.kind != "chaostoolkit"],
    ids=lambda fault: fault.id,
)
def test_a_fault_takes_the_rights_of_the_table_and_no_others(fault: PlannedFault) -> None:
    """Goal: a Role of the table is enough, and the least.

    Method: the whole experiment of every kind is played, with one conflict on the way; whatever was
    asked of the API server is in the table, and the reverse.
    """
    cluster, now_s = shop(), time.time()
    cluster.refuse = {"replace": [409]}
    experiment = compile_fault(fault, TARGET, "r", now_s)
    gate = experiment["steady-state-hypothesis"]["probes"]
    with standing_in(cluster):
        for activity in (*gate, *experiment["method"], *experiment["rollbacks"]):
            name = activity["provider"]["func"]
            if name == "wait_until":
                continue
            play = getattr(actions if activity["type"] == "action" else probes, name)
            with contextlib.suppress(ActivityFailed):  # Nobody replaces pods, or rolls out.
                play(**arguments_now(activity, now_s))
    assert {right(call) for call in cluster.calls} == set(rights_of(fault.fault))
