"""Which addresses a Service has, and how long a lost one lingers."""

from __future__ import annotations

from typing import Any

from runner.targets.sandbox.endpoints import Listing, endpoints_for, remembered

SERVICE = {
    "metadata": {"name": "order-api", "namespace": "shop"},
    "spec": {
        "selector": {"app": "order-api"},
        "ports": [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}],
    },
}


def pod(
    name: str, *, ready: bool = True, app: str = "order-api", **metadata: Any
) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "shop", "uid": f"u-{name}", "labels": {"app": app}}
        | metadata,
        "spec": {"nodeName": "n", "containers": [{"ports": [{"name": "web", "containerPort": 9}]}]},
        "status": {
            "phase": "Running",
            "podIP": f"127.64.0.{name}",
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }


def ips(listing: Listing, field: str = "addresses") -> list[str]:
    return [each["ip"] for subset in listing.subsets for each in subset.get(field, ())]


def test_ready_pods_are_listed_and_others_are_not() -> None:
    """Ready: address. Not ready: the other list. Foreign, terminating or without address: none."""
    homeless = pod("8")
    del homeless["status"]["podIP"]
    pods = [
        pod("3"),
        pod("2"),
        pod("4", ready=False),
        pod("5", app="other"),
        pod("6", deletionTimestamp="2026-01-01T00:00:00Z"),
        homeless,
    ]
    made = endpoints_for(SERVICE, pods, {}, 0.0, 1.0)
    assert made.subsets == [
        {
            "addresses": [_address("2"), _address("3")],
            "notReadyAddresses": [_address("4")],
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        }
    ]
    assert made.next_s is None


def _address(name: str) -> dict[str, Any]:
    target = {"kind": "Pod", "namespace": "shop", "name": name, "uid": f"u-{name}"}
    return {"ip": f"127.64.0.{name}", "nodeName": "n", "targetRef": target}


def test_a_lost_pod_lingers_for_the_delay() -> None:
    """A pod is deleted at 10 s: still listed until 10.5 s, then gone, with the time left said."""
    before = endpoints_for(SERVICE, [pod("2"), pod("3")], {}, 9.0, 0.5)
    lost = endpoints_for(SERVICE, [pod("3")], before.listed, 10.0, 0.5)
    assert ips(lost) == ["127.64.0.2", "127.64.0.3"]
    assert lost.next_s == 0.5
    later = endpoints_for(SERVICE, [pod("3")], lost.listed, 10.25, 0.5)
    assert ips(later) == ["127.64.0.2", "127.64.0.3"]
    assert later.next_s == 0.25
    after = endpoints_for(SERVICE, [pod("3")], later.listed, 10.5, 0.5)
    assert ips(after) == ["127.64.0.3"]
    assert after.next_s is None


def test_a_pod_that_becomes_unready_lingers_in_one_list_only() -> None:
    """Unready: during the delay an address, afterwards a not-ready address; never both."""
    before = endpoints_for(SERVICE, [pod("2")], {}, 0.0, 1.0)
    lost = endpoints_for(SERVICE, [pod("2", ready=False)], before.listed, 1.0, 1.0)
    assert (ips(lost), ips(lost, "notReadyAddresses")) == (["127.64.0.2"], [])
    after = endpoints_for(SERVICE, [pod("2", ready=False)], lost.listed, 2.0, 1.0)
    assert (ips(after), ips(after, "notReadyAddresses")) == ([], ["127.64.0.2"])


def test_a_pod_that_recovers_in_time_starts_over() -> None:
    """Ready again within the delay: the next loss has the whole delay again."""
    known = endpoints_for(SERVICE, [pod("2")], {}, 0.0, 1.0).listed
    known = endpoints_for(SERVICE, [pod("2", ready=False)], known, 1.0, 1.0).listed
    known = endpoints_for(SERVICE, [pod("2")], known, 1.5, 1.0).listed
    assert endpoints_for(SERVICE, [pod("2", ready=False)], known, 1.9, 1.0).next_s == 1.0


def test_no_delay_removes_at_once() -> None:
    """With a delay of 0 a lost address is gone in the same look."""
    known = endpoints_for(SERVICE, [pod("2")], {}, 0.0, 0.0).listed
    assert endpoints_for(SERVICE, [], known, 0.0, 0.0).subsets == []


def test_named_target_ports_are_looked_up() -> None:
    """A port by name is the pod's own port of that name; one that no container has is left out."""
    named = {"name": "web", "port": 80, "targetPort": "web"}
    unknown = {"name": "other", "port": 81, "targetPort": "nowhere"}
    service = {**SERVICE, "spec": {"selector": {"app": "order-api"}, "ports": [named, unknown]}}
    made = endpoints_for(service, [pod("2")], {}, 0.0, 1.0)
    assert made.subsets[0]["ports"] == [{"name": "web", "port": 9, "protocol": "TCP"}]


def test_a_new_controller_takes_over_what_an_earlier_one_listed() -> None:
    """What an Endpoints object says is remembered, so a pod lost meanwhile still lingers."""
    before = endpoints_for(SERVICE, [pod("2"), pod("3")], {}, 0.0, 1.0)
    known = remembered({"subsets": before.subsets})
    assert known == before.listed
    assert ips(endpoints_for(SERVICE, [pod("3")], known, 5.0, 1.0)) == ["127.64.0.2", "127.64.0.3"]
