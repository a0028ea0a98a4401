"""A child process of ``test_api_python_client``: uses the Python client and chaosk8s, prints JSON.

Every check returns what the API answered, reduced to what can be compared; the test knows what it
should be. The namespace is the first argument; KUBECONFIG says where the server is.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from chaosk8s.crd.actions import patch_custom_object
from chaosk8s.deployment.actions import scale_deployment
from chaosk8s.deployment.probes import deployment_available_and_healthy
from chaosk8s.node.actions import cordon_node, uncordon_node
from chaosk8s.pod.actions import terminate_pods
from chaosk8s.pod.probes import count_pods, pods_in_phase, read_pod_logs
from chaoslib.exceptions import ActivityFailed
from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException

NAMESPACE = sys.argv[1] if __name__ == "__main__" else ""
NODE = f"node-{NAMESPACE}"
ISTIO = ("networking.istio.io", "v1beta1", NAMESPACE, "virtualservices")


def read_typed() -> Any:
    pods = client.CoreV1Api().list_namespaced_pod(NAMESPACE, label_selector="app=web")
    return [
        (pod.metadata.name, pod.status.phase, pod.spec.containers[0].image) for pod in pods.items
    ]


def read_version() -> Any:
    return client.VersionApi().get_code().major


def read_all_namespaces() -> Any:
    pods = client.CoreV1Api().list_pod_for_all_namespaces(field_selector=f"spec.nodeName={NODE}")
    return len(pods.items)


def read_log() -> Any:
    return client.CoreV1Api().read_namespaced_pod_log("web-1", NAMESPACE, tail_lines=2)


def watch_from_list() -> Any:
    core = client.CoreV1Api()
    listed = core.list_namespaced_config_map(NAMESPACE)
    core.create_namespaced_config_map(NAMESPACE, {"metadata": {"name": "w"}, "data": {"a": "1"}})
    core.patch_namespaced_config_map("w", NAMESPACE, {"data": {"a": "2"}})
    core.delete_namespaced_config_map("w", NAMESPACE)
    events = watch.Watch().stream(
        core.list_namespaced_config_map,
        NAMESPACE,
        resource_version=listed.metadata.resource_version,
        timeout_seconds=1,
    )
    return [(event["type"], event["object"].data["a"]) for event in events]


def watch_too_old() -> Any:
    try:
        stream = watch.Watch().stream(
            client.CoreV1Api().list_namespaced_pod, NAMESPACE, resource_version="1"
        )
        next(iter(stream))
    except ApiException as error:
        return error.status
    return "no refusal"


def patch_strategic() -> Any:
    container = {"name": "app", "env": [{"name": "B", "value": "2"}]}
    body = {"spec": {"template": {"spec": {"containers": [container]}}}}
    done = client.AppsV1Api().patch_namespaced_deployment("web", NAMESPACE, body)
    found = done.spec.template.spec.containers[0]
    return [found.image, sorted(variable.name for variable in found.env)]


def patch_scale_subresource() -> Any:
    apps = client.AppsV1Api()
    done = apps.patch_namespaced_deployment_scale("web", NAMESPACE, {"spec": {"replicas": 4}})
    return [done.spec.replicas, done.status.selector]


def replace_stale() -> Any:
    apps = client.AppsV1Api()
    stale = apps.read_namespaced_deployment("web", NAMESPACE)
    apps.patch_namespaced_deployment("web", NAMESPACE, {"spec": {"replicas": 3}})
    try:
        apps.replace_namespaced_deployment("web", NAMESPACE, stale)
    except ApiException as error:
        return [error.status, json.loads(error.body)["reason"]]
    return "no refusal"


def lease() -> Any:
    api = client.CoordinationV1Api()
    spec = {"holderIdentity": "me", "leaseDurationSeconds": 15}
    created = api.create_namespaced_lease(NAMESPACE, {"metadata": {"name": "l"}, "spec": spec})
    try:
        api.create_namespaced_lease(NAMESPACE, {"metadata": {"name": "l"}, "spec": spec})
    except ApiException as error:
        return [created.spec.holder_identity, error.status, json.loads(error.body)["reason"]]
    return "no refusal"


def delete_other_incarnation() -> Any:
    body = client.V1DeleteOptions(preconditions=client.V1Preconditions(uid="another"))
    try:
        client.CoreV1Api().delete_namespaced_pod("web-1", NAMESPACE, body=body)
    except ApiException as error:
        return error.status
    return "no refusal"


def can_i() -> Any:
    attributes = {"namespace": NAMESPACE, "verb": "delete", "resource": "pods"}
    body = {"spec": {"resourceAttributes": attributes}}
    answer = client.AuthorizationV1Api().create_self_subject_access_review(body)
    return answer.status.allowed


def custom_json_patch() -> Any:
    """The client itself needs to be told that a list is a JSON patch."""
    path = f"/apis/{ISTIO[0]}/{ISTIO[1]}/namespaces/{NAMESPACE}/{ISTIO[3]}/web"
    patch = [{"op": "add", "path": "/spec/http/0/timeout", "value": "3s"}]
    header = {"Content-Type": "application/json-patch+json"}
    done = client.ApiClient().call_api(
        path,
        "PATCH",
        header_params=header,
        body=patch,
        auth_settings=["BearerToken"],
        response_type="object",
        _return_http_data_only=True,
    )
    return done["spec"]["http"][0]["timeout"]


def custom_under_three_versions() -> Any:
    api = client.CustomObjectsApi()
    group, _, namespace, plural = ISTIO
    shown = [
        api.get_namespaced_custom_object(group, version, namespace, plural, "web")
        for version in ("v1", "v1beta1", "v1alpha3")
    ]
    return [[one["apiVersion"], one["spec"] == shown[0]["spec"]] for one in shown]


def custom_merge_keeps_lists_whole() -> Any:
    api = client.CustomObjectsApi()
    http = [{"name": "first"}, {"name": "second"}]
    done = api.patch_namespaced_custom_object(*ISTIO, "web", {"spec": {"http": http}})
    return done["spec"]["http"] == http


def chaos_patch_custom_object() -> Any:
    """chaosk8s sends any body of its as a JSON patch, so it must be given a list."""
    resource = [{"op": "add", "path": "/spec/hosts/-", "value": "api.c4ang.com"}]
    group, version, namespace, plural = ISTIO
    done = patch_custom_object(group, version, plural, "web", ns=namespace, resource=resource)
    return done["spec"]["hosts"]


def chaos_cordon() -> Any:
    cordoned = cordon_node(name=NODE)
    during = client.CoreV1Api().read_node(NODE).spec.unschedulable
    uncordon_node(name=NODE)
    return [cordoned, during, bool(client.CoreV1Api().read_node(NODE).spec.unschedulable)]


def chaos_scale() -> Any:
    scale_deployment("web", 6, ns=NAMESPACE)
    return client.AppsV1Api().read_namespaced_deployment("web", NAMESPACE).spec.replicas


def chaos_probes() -> Any:
    try:
        healthy = deployment_available_and_healthy("web", ns=NAMESPACE)
    except ActivityFailed:
        healthy = False
    counted = count_pods(label_selector="app=web", ns=NAMESPACE)
    running = pods_in_phase(label_selector="app=web", phase="Running", ns=NAMESPACE)
    logs = read_pod_logs(label_selector="app=web", ns=NAMESPACE)
    return [healthy, counted, running, sorted(logs)]


def chaos_terminate() -> Any:
    """The selector must spare the pod of another app; one of two is chosen by its name."""
    killed = terminate_pods(label_selector="app=web", qty=1, ns=NAMESPACE, grace_period=0)
    left = client.CoreV1Api().list_namespaced_pod(NAMESPACE).items
    return [killed, sorted(pod.metadata.name for pod in left)]


CHECKS: list[Callable[[], Any]] = [
    read_typed,
    read_version,
    read_all_namespaces,
    read_log,
    watch_from_list,
    watch_too_old,
    patch_strategic,
    patch_scale_subresource,
    replace_stale,
    lease,
    delete_other_incarnation,
    can_i,
    custom_json_patch,
    custom_under_three_versions,
    custom_merge_keeps_lists_whole,
    chaos_patch_custom_object,
    chaos_cordon,
    chaos_scale,
    chaos_probes,
    chaos_terminate,
]


def main() -> None:
    config.load_kube_config()
    results: dict[str, Any] = {}
    for check in CHECKS:
        try:
            results[check.__name__] = check()
        except Exception as error:  # noqa: BLE001 - the test shows it beside what it expected
            results[check.__name__] = f"{type(error).__name__}: {error}"
    sys.stdout.write(json.dumps(results))


if __name__ == "__main__":
    main()
