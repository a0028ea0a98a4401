"""Probes for Chaos Toolkit experiments: is the fault possible, in place, gone?

The proof at the level of the API: objects are read back. Whether requests were hit is seen in the
mesh's metrics, by the signals. A probe returns True or fails with a sentence; it never answers with
something that a tolerance could take for success by accident.
"""

from runner.chaos.activities.foreign import (
    fault_can_be_marked,
    fault_mark_holds,
    steady_state_is_back,
)
from runner.chaos.activities.inbound import (
    inbound_fault_holds,
    inbound_fault_is_in_place,
    pods_have_proxies,
)
from runner.chaos.activities.killing import pods_can_be_killed
from runner.chaos.activities.moments import moment
from runner.chaos.activities.network import (
    network_can_be_denied,
    network_denial_holds,
    network_is_denied,
)
from runner.chaos.activities.nodes import (
    cordon_holds,
    node_can_be_cordoned,
    node_can_be_drained,
    node_is_cordoned,
)
from runner.chaos.activities.requests import fault_holds, fault_is_in_place, routes_exist
from runner.chaos.activities.rollouts import rollout_can_be_restarted
from runner.chaos.activities.shared import fault_is_gone
from runner.chaos.activities.workloads import (
    deployment_can_be_scaled,
    deployment_is_ready,
    deployment_is_scaled,
    scaling_holds,
)

__all__ = [
    "cordon_holds",
    "deployment_can_be_scaled",
    "deployment_is_ready",
    "deployment_is_scaled",
    "fault_can_be_marked",
    "fault_holds",
    "fault_is_gone",
    "fault_is_in_place",
    "fault_mark_holds",
    "inbound_fault_holds",
    "inbound_fault_is_in_place",
    "moment",
    "network_can_be_denied",
    "network_denial_holds",
    "network_is_denied",
    "node_can_be_cordoned",
    "node_can_be_drained",
    "node_is_cordoned",
    "pods_can_be_killed",
    "pods_have_proxies",
    "rollout_can_be_restarted",
    "routes_exist",
    "scaling_holds",
    "steady_state_is_back",
]
