"""A bare Kubernetes API server for tests: objects and nothing that acts on them.

One per session (or worker), started by the first test that asks for ``bare_api``. Tests that break
things in it make their own objects with ``VirtualService`` names of their own.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runner.model.recording import TargetInfo
from runner.process import ChildProcess

Object = dict[str, Any]
NAMESPACE = "ecommerce"
GROUP = ("networking.istio.io", "v1", NAMESPACE, "virtualservices")
START_S = 20.0


@dataclass(frozen=True)
class BareApi:
    """The server's kubeconfig, and a client with which a test acts as the user.

    Attributes:
        kubeconfig: Its path.
        core: ``CoreV1Api``.
        custom: ``CustomObjectsApi``.
    """

    kubeconfig: Path
    core: Any
    custom: Any

    @property
    def target(self) -> TargetInfo:
        return TargetInfo(
            kind="sandbox",
            name="bare",
            namespace=NAMESPACE,
            ingress_url="http://127.0.0.1:1",
            host="",
            prometheus_url="http://127.0.0.1:1",
            kubeconfig=str(self.kubeconfig),
            context="seatrial-bare",
        )

    def put(self, vs: Object) -> Object:
        """Create ``vs``, or put it in the place of the one that has its name."""
        from kubernetes.client.exceptions import ApiException

        name = vs["metadata"]["name"]
        with contextlib.suppress(ApiException):
            self.custom.delete_namespaced_custom_object(*GROUP, name)
        created: Object = self.custom.create_namespaced_custom_object(*GROUP, vs)
        return created

    def get(self, name: str) -> Object:
        found: Object = self.custom.get_namespaced_custom_object(*GROUP, name)
        return found

    def edit(self, vs: Object) -> Object:
        replaced: Object = self.custom.replace_namespaced_custom_object(
            *GROUP, vs["metadata"]["name"], vs
        )
        return replaced

    def delete(self, name: str) -> None:
        self.custom.delete_namespaced_custom_object(*GROUP, name)

    def routes(self, name: str) -> list[Object]:
        found: list[Object] = self.get(name)["spec"]["http"]
        return found


def users_part(vs: Object) -> Object:
    """What the user owns of an object: spec, labels, annotations."""
    metadata = vs["metadata"]
    kept = {key: metadata[key] for key in ("labels", "annotations") if key in metadata}
    return {"metadata": kept, "spec": vs["spec"]}


@pytest.fixture(scope="session")
def bare_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BareApi]:
    """A running API server with the namespace ``ecommerce``."""
    from kubernetes import client, config

    home = tmp_path_factory.mktemp("api")
    kubeconfig = home / "kubeconfig"
    server = ChildProcess(
        [
            *(sys.executable, "-m", "runner.targets.sandbox.apiserver"),
            *("--home", str(home), "--name", "bare"),
        ],
        log=home / "log",
    )
    until_s = time.monotonic() + START_S
    while "Kubernetes API on" not in server.tail(50):
        assert server.poll() is None, server.tail(20)
        assert time.monotonic() < until_s, server.tail(20)
        time.sleep(0.05)
    settings = client.Configuration()
    config.load_kube_config(str(kubeconfig), "seatrial-bare", settings)
    api = client.ApiClient(settings)
    core = client.CoreV1Api(api)
    if NAMESPACE not in {item.metadata.name for item in core.list_namespace().items}:
        core.create_namespace({"metadata": {"name": NAMESPACE}})
    yield BareApi(kubeconfig, core, client.CustomObjectsApi(api))
    server.stop(5.0)
