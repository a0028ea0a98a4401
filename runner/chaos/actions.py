"""Actions for Chaos Toolkit experiments: ours and anybody's.

All arguments are plain JSON, by name. ``kubeconfig`` and ``context`` default to ``KUBECONFIG`` and
that file's current context; ``effects`` to the file named in ``SEATRIAL_EFFECTS``. An action that
did not do what it says fails: there is no silent success. The probes that look at it again are in
``runner.chaos.probes``.
"""

from runner.chaos.activities.foreign import mark_fault, unmark_fault
from runner.chaos.activities.inbound import abort_inbound_requests, delay_inbound_requests
from runner.chaos.activities.killing import keep_killing_pods, kill_pods
from runner.chaos.activities.network import deny_network
from runner.chaos.activities.nodes import cordon_node, evict_pods, watch_pods
from runner.chaos.activities.requests import abort_requests, delay_requests
from runner.chaos.activities.rollouts import restart_rollout
from runner.chaos.activities.shared import remove_fault
from runner.chaos.activities.timing import wait_until
from runner.chaos.activities.workloads import scale_deployment, watch_deployment

__all__ = [
    "abort_inbound_requests",
    "abort_requests",
    "cordon_node",
    "delay_inbound_requests",
    "delay_requests",
    "deny_network",
    "evict_pods",
    "keep_killing_pods",
    "kill_pods",
    "mark_fault",
    "remove_fault",
    "restart_rollout",
    "scale_deployment",
    "unmark_fault",
    "wait_until",
    "watch_deployment",
    "watch_pods",
]
