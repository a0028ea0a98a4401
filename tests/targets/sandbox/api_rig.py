"""What the tests of the API server stand on: a server process, HTTPS calls, objects."""

from __future__ import annotations

import base64
import http.client
import json
import os
import shutil
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from runner.process import die_with_parent

Obj = dict[str, Any]
START_S = 15.0
KUBECTL_S = 20.0


@dataclass
class Api:
    """One keep-alive connection to an API server, from its kubeconfig."""

    kubeconfig: Path
    port: int = 0
    token: str = ""
    _connection: http.client.HTTPSConnection | None = None

    def __post_init__(self) -> None:
        config = json.loads(self.kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        self.port = int(cluster["server"].rpartition(":")[2])
        self.token = config["users"][0]["user"]["token"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        context = ssl.create_default_context(cadata=authority)
        self._connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port, context=context, timeout=10
        )

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Obj]:
        """One request; HTTP status and the JSON of the answer. Header names use underscores."""
        assert self._connection is not None
        sent = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body)
        self._connection.request(method, path, data, sent)
        answer = self._connection.getresponse()
        content = answer.read()
        return answer.status, json.loads(content) if content else {}

    def get(self, path: str) -> Obj:
        """An object or list that must exist."""
        status, answer = self.send("GET", path)
        assert status == 200, answer
        return answer

    def post(self, path: str, body: Obj) -> Obj:
        """Create an object that must be new and valid."""
        status, answer = self.send("POST", path, body)
        assert status == 201, answer
        return answer

    def merge(self, path: str, body: Obj) -> Obj:
        """Merge-patch an object that must exist."""
        kind = "application/merge-patch+json"
        status, answer = self.send("PATCH", path, body, Content_Type=kind)
        assert status == 200, answer
        return answer

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


@dataclass
class Server:
    """A running ``python -m runner.targets.sandbox.apiserver``."""

    home: Path
    process: subprocess.Popen[bytes]
    api: Api = field(init=False)

    @property
    def kubeconfig(self) -> Path:
        return self.home / "kubeconfig"


@contextmanager
def api_server(home: Path) -> Iterator[Server]:
    """The API server alone as a process, ended by SIGTERM; it must then exit with 0."""
    command = [sys.executable, "-m", "runner.targets.sandbox.apiserver"]
    with (home.parent / "apiserver.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--home", str(home), "--port", "0"],
            stdout=log,
            stderr=log,
            preexec_fn=die_with_parent(),  # noqa: PLW1509 - only asks to be killed with us
        )
    server = Server(home, process)
    deadline = time.monotonic() + START_S
    try:
        while not server.kubeconfig.exists():
            assert process.poll() is None, (home.parent / "apiserver.log").read_text()
            assert time.monotonic() < deadline, "the API server did not start"
            time.sleep(0.02)
        server.api = Api(server.kubeconfig)
        yield server
        server.api.close()
    finally:
        process.terminate()
        assert process.wait(timeout=10) == 0
    log_text = (home.parent / "apiserver.log").read_text()
    assert "Traceback" not in log_text, log_text


@dataclass
class Kubectl:
    """kubectl with its own cache, in one namespace of one server."""

    kubeconfig: Path
    cache: Path
    namespace: str

    def command(self, *arguments: str) -> list[str]:
        found = shutil.which("kubectl")
        assert found is not None
        return [found, "--namespace", self.namespace, *arguments]

    def environment(self, **more: str) -> dict[str, str]:
        own = {"KUBECONFIG": str(self.kubeconfig), "KUBECACHEDIR": str(self.cache)}
        return dict(os.environ) | own | more

    def run(
        self, *arguments: str, stdin: str | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run to the end; standard output and error come as one text."""
        return subprocess.run(
            self.command(*arguments),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=KUBECTL_S,
            check=False,
            env=self.environment(**environment),
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start one that goes on, as ``--watch`` does."""
        return subprocess.Popen(
            self.command(*arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment(),
        )


class FakeKubelet:
    """A node's log endpoint: it says what it was asked, if the token is right."""

    def __init__(self) -> None:
        self.token = ""
        kubelet = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                known = self.headers.get("Authorization") == f"Bearer {kubelet.token}"
                text = f"asked {self.path}\n" if known else "who are you?\n"
                self.send_response(200 if known else 401)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)


def deployment(name: str = "web", image: str = "seatrial.dev/shop:1", replicas: int = 2) -> Obj:
    container = {"name": "app", "image": image, "env": [{"name": "A", "value": "1"}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
            },
        },
    }


def pod(name: str, app: str = "web", grace_s: int = 0) -> Obj:
    container = {"name": "app", "image": "seatrial.dev/shop:1"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": app}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": grace_s},
    }


def _container_status(name: str) -> Obj:
    running = {"startedAt": "2026-01-02T03:04:05Z"}
    return {"name": name, "ready": True, "state": {"running": running}}


READY_STATUS: Obj = {
    "phase": "Running",
    "podIP": "127.64.0.2",
    "conditions": [{"type": "Ready", "status": "True"}],
    "containerStatuses": [_container_status("app"), _container_status("istio-proxy")],
}


def node(name: str, kubelet_port: int) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "status": {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "conditions": [{"type": "Ready", "status": "True"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet_port}},
            "nodeInfo": {"kubeletVersion": "v1.32.0"},
        },
    }


def virtual_service(name: str = "web", version: str = "v1") -> Obj:
    route = {"route": [{"destination": {"host": name}}]}
    return {
        "apiVersion": f"networking.istio.io/{version}",
        "kind": "VirtualService",
        "metadata": {"name": name},
        "spec": {"hosts": [name], "http": [route]},
    }


def seed(api: Api, namespace: str, kubelet_port: int = 10250) -> None:
    """A namespace with a node, a deployment, its two ready pods, a service and Istio's part."""
    api.post("/api/v1/namespaces", {"metadata": {"name": namespace}})
    api.post("/api/v1/nodes", node(f"node-{namespace}", kubelet_port))
    core, apps = f"/api/v1/namespaces/{namespace}", f"/apis/apps/v1/namespaces/{namespace}"
    owner = api.post(f"{apps}/deployments", deployment())
    reference = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": "web",
        "uid": owner["metadata"]["uid"],
        "controller": True,
    }
    for name in ("web-1", "web-2"):
        body = pod(name)
        body["metadata"]["ownerReferences"] = [reference]
        api.post(f"{core}/pods", body)
        target = {"target": {"name": f"node-{namespace}"}}
        api.post(f"{core}/pods/{name}/binding", target)
        api.merge(f"{core}/pods/{name}/status", {"status": READY_STATUS})
    service = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}
    api.post(f"{core}/services", {"metadata": {"name": "web"}, "spec": service})
    api.post(f"{core}/configmaps", {"metadata": {"name": "settings"}, "data": {"a": "1"}})
    istio = f"/apis/networking.istio.io/v1/namespaces/{namespace}"
    api.post(f"{istio}/virtualservices", virtual_service())
