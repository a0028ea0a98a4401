"""Preflight, snapshots and kubeconfigs: pure over handmade objects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runner.errors import TargetError
from runner.model.access import PrometheusAccess
from runner.model.experiment import Experiment
from runner.model.faultmark import ANNOTATION
from runner.model.plan import make_plan
from runner.model.recording import TargetInfo
from runner.model.target import ClusterSpec
from runner.targets.cluster import ClusterTarget, cluster_info, one_context, write_kubeconfig
from runner.targets.inspection import MARKED_KINDS, Objects
from runner.targets.preflight import leftovers, problems, target_flags
from runner.targets.snapshot import write_snapshot

ABORT = {"kind": "http-abort", "service": "pay", "at": "5s", "duration": "5s", "status": 503}
KILL = {"kind": "pod-kill", "service": "pay", "at": "5s", "duration": "5s"}


def asked(fault: dict[str, Any], objective: object = "errors < 1%") -> list[str]:
    return [*_problems(fault, objective, world())]


def _problems(fault: dict[str, Any], objective: object, objects: Objects) -> list[str]:
    experiment = Experiment.model_validate(
        {
            "name": "x",
            "description": "d",
            "load": {"locustfile": "x", "stages": [{"duration": "20s", "users": 1}]},
            "faults": [fault],
            "objectives": [objective],
        }
    )
    return problems(make_plan(experiment), objects, "shop")


def world(*, ready: int = 2, route_host: str = "pay.shop.svc.cluster.local") -> Objects:
    pods = [
        {
            "metadata": {"name": f"pay-{i}", "labels": {"app": "pay"}},
            "status": {"conditions": [{"type": "Ready", "status": str(i < ready)}]},
        }
        for i in range(2)
    ]
    addresses = [{"ip": f"127.0.0.{i}"} for i in range(ready)]
    route = {"route": [{"destination": {"host": route_host}}]}
    return Objects(
        kinds={
            "pods": pods,
            "services": [{"metadata": {"name": "pay"}, "spec": {"selector": {"app": "pay"}}}],
            "endpoints": [{"metadata": {"name": "pay"}, "subsets": [{"addresses": addresses}]}],
            "virtualservices": [{"metadata": {"name": "pay"}, "spec": {"http": [route]}}],
        },
        errors={},
    )


def test_a_target_that_fits_has_no_problems() -> None:
    assert asked(ABORT) == []
    assert asked(KILL) == []


def test_a_service_that_is_not_there_is_named_with_those_that_are() -> None:
    (problem,) = asked({**ABORT, "service": "order"})
    assert problem == "there is no Service order in shop; there are: pay"


def test_an_objective_about_a_service_that_is_not_there_is_a_problem() -> None:
    (problem,) = asked(ABORT, {"objective": "errors < 1%", "service": "stock"})
    assert problem == "there is no Service stock in shop; there are: pay"


def test_each_service_is_none_in_particular_and_an_excepted_one_must_be_there() -> None:
    assert asked(ABORT, {"objective": "errors < 1%", "service": "*"}) == []
    (problem,) = asked(ABORT, {"objective": "errors < 1%", "other_than": ["stock"]})
    assert problem == "there is no Service stock in shop; there are: pay"


def test_a_service_without_ready_endpoints_is_a_problem() -> None:
    assert "the Service pay has no ready endpoint" in _problems(
        ABORT, "errors < 1%", world(ready=0)
    )


def test_a_fault_without_a_route_is_a_problem() -> None:
    (problem,) = _problems(ABORT, "errors < 1%", world(route_host="paypal"))
    assert "no VirtualService in shop has an HTTP route to pay" in problem


def test_killing_the_last_healthy_pod_is_refused_with_the_count() -> None:
    (problem,) = _problems(KILL, "errors < 1%", world(ready=1))
    assert problem == (
        "01-pod-kill: 1 pod of pay is ready, but killing 1 and leaving 1 healthy needs 2"
    )


def test_the_fault_of_another_run_is_a_problem_with_the_command_that_removes_it() -> None:
    """Goal: no run on a disturbed target. Method: a mark in the annotation, one in a name only."""
    objects = world()
    (vs,) = objects.of("virtualservices")
    run = "2026-01-02T030405Z-abcd"
    tag = {"run": run, "fault": "01-http-abort", "owner": "ann", "expires_at": ""}
    vs["metadata"]["annotations"] = {ANNOTATION: json.dumps({"key": tag})}
    copies = [f"seatrial-{run.lower()}-{fault}-1" for fault in ("01-http-abort", "02-slow")]
    vs["spec"]["http"][:0] = [{"name": name} for name in copies]
    assert leftovers(objects, "--target staging") == [
        f"virtualservice/pay still carries the faults 01-http-abort, 02-slow of run {run}; remove "
        f"them with `seatrial heal {run} --target staging`"
    ]
    assert _problems(KILL, "errors < 1%", objects) == leftovers(objects)


def test_a_fault_is_found_on_every_kind_of_object_that_can_carry_one() -> None:
    """Goal: one sentence for each run. Method: a mark on one object of each kind, and a node's."""
    objects = world()
    run, other = "2026-01-02T030405Z-abcd", "2026-01-02T030405Z-beef"
    for kind in MARKED_KINDS:
        mark = {"k": {"run": other if kind == "nodes" else run, "fault": "01-x"}}
        metadata = {"name": "x", "annotations": {ANNOTATION: json.dumps(mark)}}
        objects.kinds[kind] = [{"kind": kind[:-1], "metadata": metadata}]
    subjects = ", ".join(f"{kind[:-1]}/x" for kind in MARKED_KINDS if kind != "nodes")
    assert leftovers(objects) == [
        f"{subjects} still carry the fault 01-x of run {run}; remove them with "
        f"`seatrial heal {run}`",
        f"node/x still carries the fault 01-x of run {other}; if that run is over, remove it with "
        f"`seatrial heal {other}`",
    ]


@pytest.mark.parametrize("text", ["{", "[]", '{"x": 1}', "null"])
def test_a_mark_that_cannot_be_read_is_a_fault_all_the_same(text: str) -> None:
    objects = world()
    objects.of("virtualservices")[0]["metadata"]["annotations"] = {ANNOTATION: text}
    expected = [
        "virtualservice/pay still carries the fault seatrial.dev/faults of an unknown run; "
        "remove it with `seatrial heal --all`"
    ]
    assert leftovers(objects) == (expected)


@pytest.mark.parametrize(
    ("kind", "name", "flags"),
    [
        ("cluster", "staging", "--target staging"),
        ("sandbox", "default", ""),
        ("sandbox", "x", "--sandbox-name x"),
    ],
)
def test_a_command_names_its_target(kind: Any, name: str, flags: str) -> None:
    info = TargetInfo(
        kind=kind, name=name, namespace="n", ingress_url="", host="", prometheus_url=""
    )
    assert target_flags(info) == flags


def test_what_cannot_be_read_is_a_problem() -> None:
    objects = Objects(kinds=world().kinds, errors={"virtualservices": "HTTP 403: Forbidden"})
    (problem,) = _problems(ABORT, "errors < 1%", objects)
    assert problem == "virtualservices cannot be read (HTTP 403: Forbidden)"


def test_autoscalers_that_cannot_be_read_are_no_problem() -> None:
    """A run can do without them: the report says that they are not known."""
    errors = {"horizontalpodautoscalers": "HTTP 403: Forbidden"}
    assert _problems(ABORT, "errors < 1%", Objects(kinds=world().kinds, errors=errors)) == []


def test_a_snapshot_holds_no_value_of_an_environment_variable(tmp_path: Path) -> None:
    """Goal: no secret in the results. Method: one in a variable and one in kubectl's annotation."""
    container = {"name": "app", "env": [{"name": "PASSWORD", "value": "hunter2"}]}
    deployment = {
        "metadata": {
            "name": "pay",
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "hunter2"},
            "managedFields": [1],
        },
        "spec": {"template": {"spec": {"containers": [container]}}},
    }
    write_snapshot(Objects(kinds={"deployments": [deployment]}, errors={}), tmp_path)
    text = (tmp_path / "deployments.json").read_text()
    assert "hunter2" not in text
    assert "managedFields" not in text
    (written,) = json.loads(text)
    (kept,) = written["spec"]["template"]["spec"]["containers"]
    assert kept["env"] == [{"name": "PASSWORD", "value": "(not recorded)"}]


@pytest.fixture
def kubeconfigs(tmp_path: Path) -> list[Path]:
    first, second = tmp_path / "a" / "one.yaml", tmp_path / "b" / "two.yaml"
    for path, name, ca in ((first, "one", "ca.crt"), (second, "two", "/etc/ca.crt")):
        path.parent.mkdir()
        config = {
            "contexts": [{"name": name, "context": {"cluster": "c", "user": name}}],
            "clusters": [
                {"name": "c", "cluster": {"server": f"https://{name}", "certificate-authority": ca}}
            ],
            "users": [{"name": name, "user": {"token": f"t-{name}"}}],
        }
        path.write_text(json.dumps(config))
    return [first, second]


def test_one_context_is_cut_out_of_many_files_as_kubectl_merges_them(
    kubeconfigs: list[Path],
) -> None:
    """Goal: KUBECONFIG=a:b. Method: the second file's context names a cluster of the first."""
    config = one_context(kubeconfigs, "two")
    assert config["current-context"] == "two"
    assert config["users"] == [{"name": "two", "user": {"token": "t-two"}}]
    (cluster,) = config["clusters"]
    assert cluster["cluster"]["server"] == "https://one"
    assert cluster["cluster"]["certificate-authority"] == str(kubeconfigs[0].parent / "ca.crt")


def test_an_unknown_context_lists_the_known_ones(kubeconfigs: list[Path]) -> None:
    with pytest.raises(TargetError) as caught:
        one_context(kubeconfigs, "three")
    assert caught.value.accepted == "one, two"


def spec(path: Path) -> ClusterSpec:
    return ClusterSpec(
        context="one",
        kubeconfig=str(path),
        namespace="shop",
        ingress="http://127.0.0.1:9",
        prometheus=PrometheusAccess(url="http://127.0.0.1:9"),
    )


def test_the_private_kubeconfig_is_for_its_owner_only(
    kubeconfigs: list[Path], tmp_path: Path
) -> None:
    path, server = write_kubeconfig(spec(kubeconfigs[0]), tmp_path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert server == "https://one"
    assert cluster_info("x", spec(kubeconfigs[0])).identity == "one at https://one"


def test_a_cluster_whose_ingress_is_down_is_refused_and_leaves_no_file(
    kubeconfigs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: target down is a clear error. Method: an address on which nobody listens."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    target = ClusterTarget("staging", spec(kubeconfigs[0]))
    with pytest.raises(TargetError, match=r"the ingress of staging at http://127\.0\.0\.1:9"):
        target.open("run")
    target.close()
    assert list(scratch.iterdir()) == []
