"""The reaper: a manifest that a cluster takes, whose Role is enough and no more."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bare_api import BareApi, users_part
from chaos_carriers import carried, tag
from chaos_fakes import FakeCluster
from chaos_objects import NAMESPACE, virtual_service
from ruamel.yaml import YAML

from runner.chaos import owned, reaper
from runner.chaos.carriers import CARRIERS
from runner.chaos.client import ApiRefusalError, KubeCluster
from runner.chaos.heal import Scope, heal
from runner.chaos.objects import CONFIG_MAPS, ENVOY_FILTERS, NETWORK_POLICIES, Kind
from runner.chaos.virtualservice import abort_block, add_fault
from runner.errors import UsageError

Object = dict[str, Any]
LONG_AGO = "2001-01-01T00:00:00Z"


def parts(*, nodes: bool = False, namespace: str = "shop") -> dict[str, Object]:
    text = reaper.manifest(namespace, "seatrial:1", nodes=nodes)
    return {item["kind"]: item for item in YAML(typ="safe").load_all(text)}


class Limited(FakeCluster):
    """A cluster that grants what the rules of a Role grant, and keeps what was made use of."""

    rules: list[Object]
    used: set[tuple[str, str, str]]

    def _answer(self, method: str, kind: Kind) -> None:
        verb = {"items": "list", "read": "get", "replace": "update"}.get(method, method)
        granted = any(
            kind.group in rule["apiGroups"]
            and kind.plural in rule["resources"]
            and verb in rule["verbs"]
            for rule in self.rules
        )
        if not granted:
            raise ApiRefusalError(f"{verb} {kind.plural}", 403, "forbidden")
        self.used.add((kind.group, kind.plural, verb))
        super()._answer(method, kind)


def test_the_role_is_enough_and_no_more() -> None:
    """Goal: least privilege, that works. Method: an expired fault on every kind, conflicts at each
    write; a cluster that refuses what the Roles do not grant; every verb has been used."""
    found = parts(nodes=True)
    plurals = [carrier.kind.plural for carrier in CARRIERS]
    cluster = Limited(
        refuse={f"{verb} {plural}": [409] for verb in ("replace", "delete") for plural in plurals}
    )
    cluster.rules = [*found["Role"]["rules"], *found["ClusterRole"]["rules"]]
    cluster.used = set()
    marker = owned.make(CONFIG_MAPS, NAMESPACE, tag(until=LONG_AGO), {"data": {}})
    cluster.put(marker, kind=CONFIG_MAPS)
    kinds = [carrier.kind for carrier in CARRIERS if carrier.kind is not CONFIG_MAPS]
    for kind in kinds:
        cluster.put(carried(kind, tag(until=LONG_AGO))[1], kind=kind)
    report = heal(cluster, Scope(NAMESPACE, expired=True), sleep=lambda seconds: None)
    assert len(report.removed) == len(kinds)
    assert [left.split(":")[0] for left in report.left] == [
        f"configmap/{marker['metadata']['name']} in ecommerce"
    ]
    granted = {
        (rule["apiGroups"][0], rule["resources"][0], verb)
        for rule in cluster.rules
        for verb in rule["verbs"]
    }
    assert cluster.used == granted


def test_without_nodes_nothing_is_granted_outside_of_the_namespace() -> None:
    found = parts()
    assert set(found) == {"ServiceAccount", "Role", "RoleBinding", "CronJob"}
    assert {item["metadata"]["namespace"] for item in found.values()} == {"shop"}
    assert "nodes" not in json.dumps(found["Role"])


def test_every_rule_says_why() -> None:
    text = reaper.manifest("shop", "seatrial:1", nodes=True)
    lines = text.splitlines()
    rules = [number for number, line in enumerate(lines) if line.startswith("  - apiGroups")]
    assert len(rules) == len(CARRIERS)
    assert all(lines[number - 1].startswith("  # ") for number in rules)


def test_the_job_is_alone_bounded_and_nobody() -> None:
    """Goal: harmless. Method: the values that make it so, read back from the YAML."""
    job = parts()["CronJob"]["spec"]
    one = job["jobTemplate"]["spec"]
    pod = one["template"]["spec"]
    (container,) = pod["containers"]
    assert (job["schedule"], job["concurrencyPolicy"]) == ("* * * * *", "Forbid")
    assert (job["successfulJobsHistoryLimit"], job["failedJobsHistoryLimit"]) == (1, 3)
    assert (one["backoffLimit"], one["activeDeadlineSeconds"]) == (0, 50)
    assert one["template"]["metadata"]["labels"]["sidecar.istio.io/inject"] == "false"
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["command"] == reaper.command("shop")
    assert container["resources"]["limits"] == {"memory": "256Mi"}


@pytest.mark.parametrize("name", ["no", "on", "y", "null", "e1"])
def test_names_that_yaml_takes_for_something_else_stay_names(name: str) -> None:
    assert parts(namespace=name)["Role"]["metadata"]["namespace"] == name


@pytest.mark.parametrize(
    ("every_s", "cron"), [(60, "* * * * *"), (300, "*/5 * * * *"), (3600, "0 * * * *")]
)
def test_intervals_are_those_that_cron_has(every_s: float, cron: str) -> None:
    assert reaper.schedule(every_s) == cron


@pytest.mark.parametrize("every_s", [0, 30, 90, 420, 7200])
def test_other_intervals_are_refused(every_s: float) -> None:
    with pytest.raises(UsageError) as caught:
        reaper.schedule(every_s)
    assert caught.value.accepted.startswith("1m, 2m")


@pytest.mark.parametrize(
    ("namespace", "image"), [("Shop", "i"), ("a b", "i"), ("shop", ""), ("shop", "a\nb: c")]
)
def test_what_kubernetes_would_refuse_is_refused(namespace: str, image: str) -> None:
    with pytest.raises(UsageError):
        reaper.manifest(namespace, image)


# -- on an API server ------------------------------------------------------------------------------


RBAC = "rbac.authorization.k8s.io"
RIGHTS = {
    "Role": Kind("roles", "Role", RBAC),
    "RoleBinding": Kind("rolebindings", "RoleBinding", RBAC),
    "ClusterRole": Kind("clusterroles", "ClusterRole", RBAC, namespaced=False),
    "ClusterRoleBinding": Kind("clusterrolebindings", "ClusterRoleBinding", RBAC, namespaced=False),
}


@pytest.fixture
def account(bare_api: BareApi, tmp_path: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """The folder of the reaper's service account, whose rights are in force; a pod's environment.

    The API server takes the admin's token, a dot and a name for that user, and asks its Roles.
    """
    config = json.loads(bare_api.kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    name = f"system:serviceaccount:{NAMESPACE}:{reaper.NAME}"
    (tmp_path / "token").write_text(f"{user['token']}.{name}")
    (tmp_path / "ca.crt").write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    host, _, port = cluster["server"].removeprefix("https://").partition(":")
    admin = KubeCluster(str(bare_api.kubeconfig), bare_api.target.context)
    manifest = parts(nodes=True, namespace=NAMESPACE)
    made = [(kind, admin.create(kind, manifest[word])) for word, kind in RIGHTS.items()]
    yield tmp_path, {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
    for kind, obj in made:
        admin.delete(kind, obj)


@pytest.mark.sandbox
def test_the_jobs_own_command_removes_what_is_expired_and_nothing_else(
    bare_api: BareApi, account: tuple[Path, dict[str, str]]
) -> None:
    """Goal: what is deployed works, with its Role, a service account and no kubeconfig. Method: the
    command of the CronJob as it is, but for the folder of the account, which a test cannot make."""
    folder, environment = account
    before = users_part(virtual_service("rp-old", annotations={"his": "1"}))
    for name, until in (("rp-old", LONG_AGO), ("rp-new", "2999-01-01T00:00:00Z")):
        metadata = {"annotations": {"his": "1"}} if name == "rp-old" else {}
        block = abort_block(503, 50)
        old = tag(until=until, service=name, block=block)
        bare_api.put(add_fault(virtual_service(name, **metadata), old))
    try:
        done = subprocess.run(
            [sys.executable, *reaper.command(NAMESPACE)[1:], "--service-account", str(folder)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        report = json.loads(done.stdout)
        assert (report["removed"], report["notes"]) == (["virtualservice/rp-old in ecommerce"], [])
        assert users_part(bare_api.get("rp-old")) == before
        assert len(bare_api.routes("rp-new")) == 2
        assert any("virtualservice/rp-new still carries" in other for other in report["others"])
    finally:
        for name in ("rp-old", "rp-new"):
            bare_api.delete(name)


@pytest.mark.sandbox
def test_the_service_account_may_do_nothing_else(
    bare_api: BareApi, account: tuple[Path, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: the rights are in force, so that the test above says something. Method: what injects
    faults is refused."""
    folder, environment = account
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    mine = KubeCluster(in_cluster=str(folder))
    for kind in (NETWORK_POLICIES, ENVOY_FILTERS):
        with pytest.raises(ApiRefusalError, match="403"):
            mine.create(kind, owned.make(kind, NAMESPACE, tag(), {"spec": {}}))
    with pytest.raises(ApiRefusalError, match="403"):
        mine.items(CONFIG_MAPS, "default")


@pytest.mark.sandbox
def test_outside_of_a_pod_it_says_so_and_asks_no_other_cluster(bare_api: BareApi) -> None:
    """Goal: no fallback. Method: the same command with a kubeconfig that would work."""
    done = subprocess.run(
        [sys.executable, *reaper.command(NAMESPACE)[1:]],
        env={"KUBECONFIG": str(bare_api.kubeconfig)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 3
    assert "this is no pod with a service account" in json.loads(done.stdout)["error"]


@pytest.mark.sandbox
@pytest.mark.kubectl
def test_kubectl_applies_the_manifest(bare_api: BareApi, tmp_path: Path) -> None:
    """Goal: a server takes it. Method: ``kubectl apply`` as a dry run on the server."""
    done = subprocess.run(
        ["kubectl", "apply", "--dry-run=server", "-f", "-"],
        input=reaper.manifest(NAMESPACE, "seatrial:1", nodes=True),
        env=os.environ | {"KUBECONFIG": str(bare_api.kubeconfig), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        "serviceaccount/seatrial-reaper",
        "role.rbac.authorization.k8s.io/seatrial-reaper",
        "rolebinding.rbac.authorization.k8s.io/seatrial-reaper",
        "clusterrole.rbac.authorization.k8s.io/seatrial-reaper-ecommerce",
        "clusterrolebinding.rbac.authorization.k8s.io/seatrial-reaper-ecommerce",
        "cronjob.batch/seatrial-reaper",
    ]
