"""What the server shows besides objects: tables, discovery, OpenAPI, routes, kubeconfig."""

from __future__ import annotations

import base64
import json
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from api_rig import READY_STATUS, node, pod
from cryptography import x509

from runner.errors import TargetError
from runner.targets.sandbox.apiserver import discovery, openapi, pki
from runner.targets.sandbox.apiserver.columns import age, columns_of, short_duration
from runner.targets.sandbox.apiserver.errors import StatusError
from runner.targets.sandbox.apiserver.kinds import BY_PLURAL, KINDS, NODES, PODS, Kind
from runner.targets.sandbox.apiserver.routes import parse_route, truthy
from runner.targets.sandbox.apiserver.tables import table, wants_metadata, wants_table
from runner.targets.sandbox.kubeconfig import read_kubeconfig

Obj = dict[str, Any]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (125, "2m5s"),
        (600, "10m"),
        (10_799, "179m"),
        (10_800, "3h"),
        (11_000, "3h3m"),
        (28_800, "8h"),
        (172_800, "2d"),
        (180_000, "2d2h"),
        (691_200, "8d"),
    ],
)
def test_durations_are_short_as_in_kubectl(seconds: int, text: str) -> None:
    """At most two units; the borders are kubectl's."""
    assert short_duration(seconds) == text


def test_age_counts_from_a_timestamp() -> None:
    """Also with a fraction; a missing stamp is unknown, a future one is 0."""
    now = datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
    assert age("2026-01-01T00:00:00Z", now) == "60s"
    assert age("2026-01-01T00:00:30.500000Z", now) == "29s"
    assert age("2026-01-01T00:02:00Z", now) == "0s"
    assert age(None) == "<unknown>"


def cells(kind: Kind, obj: Obj) -> dict[str, Any]:
    """Column → cell of one object, wide ones too, without the age."""
    row = table(kind, [obj], "1")["rows"][0]["cells"]
    names = [column.name for column in columns_of(kind)]
    return {name: cell for name, cell in zip(names, row, strict=True) if name != "Age"}


@pytest.mark.parametrize(
    ("status", "metadata", "expected"),
    [
        (READY_STATUS, {}, ("2/2", "Running", "0")),
        ({"phase": "Pending"}, {}, ("0/1", "Pending", "0")),
        ({}, {}, ("0/1", "Unknown", "0")),
        (READY_STATUS, {"deletionTimestamp": "x"}, ("2/2", "Terminating", "0")),
        (
            {"containerStatuses": [{"restartCount": 3, "state": {"waiting": {"reason": "Err"}}}]},
            {},
            ("0/1", "Err", "3"),
        ),
        ({"phase": "Failed", "reason": "Evicted"}, {}, ("0/1", "Evicted", "0")),
    ],
)
def test_row_of_a_pod(status: Obj, metadata: Obj, expected: tuple[str, ...]) -> None:
    """Ready, status and restarts as kubectl derives them."""
    obj = pod("p") | {"status": status}
    obj["metadata"] |= metadata
    shown = cells(PODS, obj)
    assert (shown["Ready"], shown["Status"], shown["Restarts"]) == expected


def test_row_of_a_node() -> None:
    """Cordoned shows; an odd object shows a question, and does not break the list."""
    live = node("n", 1) | {"spec": {"unschedulable": True}}
    assert cells(NODES, live)["Status"] == "Ready,SchedulingDisabled"
    assert cells(NODES, live)["Internal-IP"] == "127.0.0.1"
    odd = {"metadata": {"name": "odd"}, "status": {"conditions": "none"}}
    assert cells(NODES, odd)["Status"] == "<unknown>"


def test_rows_of_services_endpoints_and_istio() -> None:
    """Ports, the first three endpoints, hosts and gateways."""
    ports = [{"port": 80, "protocol": "TCP"}, {"port": 443, "nodePort": 30443}]
    service = {
        "metadata": {"name": "s"},
        "spec": {"ports": ports, "selector": {"b": "2", "a": "1"}},
    }
    shown = cells(BY_PLURAL["", "services"], service)
    assert (shown["Port(s)"], shown["Selector"]) == ("80/TCP,443:30443/TCP", "a=1,b=2")
    addresses = [{"ip": f"127.64.0.{number}"} for number in range(5)]
    subsets = [{"addresses": addresses, "ports": [{"port": 8080}]}]
    endpoints = {"metadata": {"name": "e"}, "subsets": subsets}
    text = cells(BY_PLURAL["", "endpoints"], endpoints)["Endpoints"]
    assert text == "127.64.0.0:8080,127.64.0.1:8080,127.64.0.2:8080 + 2 more..."
    spec = {"hosts": ["a", "b"], "gateways": ["mesh"]}
    shown = cells(
        BY_PLURAL["networking.istio.io", "virtualservices"],
        {"metadata": {"name": "v"}, "spec": spec},
    )
    assert (shown["Hosts"], shown["Gateways"]) == ("a,b", "mesh")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.qualified)
def test_every_kind_has_a_table_for_a_bare_object(kind: Kind) -> None:
    """An object of metadata only gets a full row; objects are carried as asked."""
    obj = {"metadata": {"name": "x", "creationTimestamp": "2026-01-01T00:00:00Z"}}
    shown = table(kind, [obj], "7", "Object")
    assert len(shown["rows"][0]["cells"]) == len(shown["columnDefinitions"])
    assert shown["rows"][0]["object"] == obj
    assert "object" not in table(kind, [obj], "7", "None")["rows"][0]
    assert table(kind, [obj], "7", head=False)["columnDefinitions"] == []


def test_accept_headers_of_clients() -> None:
    """kubectl's asks for a table, the Python client's for JSON, an informer's for metadata."""
    form = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
    assert wants_table(form)
    assert not wants_table("application/json,application/json;as=Table;v=v1;g=meta.k8s.io")
    assert wants_metadata("application/json; as=PartialObjectMetadataList;v=v1;g=meta.k8s.io")
    assert not wants_metadata(form)


def test_discovery_and_its_aggregate_tell_the_same() -> None:
    """Group by group, version by version: equal kinds, scopes and subresources."""
    for core in (True, False):
        for item in discovery.aggregated(core)["items"]:
            group = item["metadata"].get("name", "")
            for version in item["versions"]:
                plain = discovery.resource_list(group, version["version"])
                assert plain is not None
                told = {
                    (one["resource"], one["scope"] == "Namespaced", one["responseKind"]["kind"])
                    for one in version["resources"]
                }
                subs = {
                    f"{one['resource']}/{sub['subresource']}"
                    for one in version["resources"]
                    for sub in one.get("subresources", [])
                }
                listed = {
                    (one["name"], one["namespaced"], one["kind"])
                    for one in plain["resources"]
                    if "/" not in one["name"]
                }
                assert told == listed
                names = {one["name"] for one in plain["resources"] if "/" in one["name"]}
                assert subs == names
                assert all(
                    "shortNames" not in one for one in plain["resources"] if "/" in one["name"]
                )


def test_short_names_are_not_given_twice() -> None:
    """kubectl would pick one of two kinds at random."""
    short = [name for kind in KINDS for name in {*kind.short, kind.plural, kind.kind.lower()}]
    assert len(short) == len(set(short))


@pytest.mark.parametrize("path", openapi.root()["paths"])
def test_openapi_documents_are_whole(path: str) -> None:
    """Every reference resolves, every kind has its group, version and kind, and a patch."""
    document = openapi.find(path.split("/"))
    schemas = document["components"]["schemas"]
    text = json.dumps(document)
    for reference in set(text.split('"#/components/schemas/')[1:]):
        assert reference.split('"')[0] in schemas
    kinds = [one for one in schemas.values() if "x-kubernetes-group-version-kind" in one]
    patches = [one["patch"] for one in document["paths"].values() if "patch" in one]
    assert len(kinds) == len(patches) > 0
    names = {one["name"] for one in patches[0]["parameters"]}
    assert names == {"dryRun", "fieldManager", "fieldValidation"}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/v1/pods", ("pods", "", "", "")),
        ("/api/v1/namespaces", ("namespaces", "", "", "")),
        ("/api/v1/namespaces/n", ("namespaces", "", "n", "")),
        ("/api/v1/namespaces/n/status", ("namespaces", "", "n", "status")),
        ("/api/v1/namespaces/n/pods", ("pods", "n", "", "")),
        ("/api/v1/namespaces/n/pods/p", ("pods", "n", "p", "")),
        ("/api/v1/namespaces/n/pods/p/log", ("pods", "n", "p", "log")),
        ("/apis/apps/v1/namespaces/n/deployments/d/scale", ("deployments", "n", "d", "scale")),
        ("/apis/networking.istio.io/v1alpha3/gateways/", ("gateways", "", "", "")),
        ("/api/v1/nodes/x", ("nodes", "", "x", "")),
    ],
)
def test_routes(path: str, expected: tuple[str, ...]) -> None:
    """Kind, namespace, name and subresource of a path."""
    route = parse_route(path)
    place = route.place
    assert (place.kind.plural, place.namespace, place.name, route.subresource) == expected


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api",
        "/api/v1",
        "/api/v2/pods",
        "/apis/apps/v1",
        "/apis/apps/v1beta1/deployments",
        "/apis/autoscaling/v2beta2/horizontalpodautoscalers",
        "/api/v1/pods/p",
        "/api/v1/namespaces/n/nodes",
        "/api/v1/namespaces/n/pods/p/exec",
        "/api/v1/namespaces/n/pods/p/log/x",
        "/api/v1/namespaces/n/pods//log",
        "/metrics",
    ],
)
def test_paths_that_name_nothing(path: str) -> None:
    """404, also where a name is missing, and for what is not served on purpose."""
    with pytest.raises(StatusError) as refused:
        parse_route(path)
    assert refused.value.code == 404


def test_booleans_of_queries() -> None:
    """Go, Python and people write them differently."""
    assert [truthy(text) for text in ("true", "True", "1", "false", "0", "", None)] == [
        *(True, True, True),
        *(False, False, False, False),
    ]


def test_certificates_are_for_loopback_and_of_their_own_ca() -> None:
    """The leaf is signed by the CA, names 127.0.0.1 and localhost only, and is no CA itself."""
    one, two = pki.make_identity("a"), pki.make_identity("a")
    assert one.authority != two.authority
    leaf = x509.load_pem_x509_certificate(one.certificate)
    leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(one.authority))
    with pytest.raises(ValueError, match=r".*"):
        leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(two.certificate))
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == ["localhost", "127.0.0.1"]
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def write(path: Path, user: Obj, cluster: Obj | None = None, **more: Any) -> Path:
    cluster = cluster or {"server": "https://example.test:6443/"}
    config = {
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "n"}}],
        "current-context": "x",
    } | more
    path.write_text(json.dumps(config))
    return path


def test_kubeconfig_gives_endpoint_token_and_trust(tmp_path: Path) -> None:
    """Our own file: server, token, namespace; the CA is trusted and nothing else is."""
    identity = pki.make_identity("b")
    path = tmp_path / "config"
    path.write_bytes(pki.kubeconfig("b", 1234, "secret", identity, "ecommerce"))
    endpoint = read_kubeconfig(path)
    assert (endpoint.server, endpoint.token) == ("https://127.0.0.1:1234", "secret")
    assert (endpoint.context, endpoint.namespace) == ("seatrial-b", "ecommerce")
    assert endpoint.ssl is not None
    assert endpoint.ssl.verify_mode is ssl.CERT_REQUIRED
    subjects = [one["subject"] for one in endpoint.ssl.get_ca_certs()]
    assert len(subjects) == 1
    assert "secret" not in repr(endpoint)


def test_kubeconfig_reads_files_beside_it(tmp_path: Path) -> None:
    """A token file, a CA file and a client certificate, relative to the kubeconfig."""
    identity = pki.make_identity("b")
    (tmp_path / "token").write_text("from-file\n")
    (tmp_path / "ca.pem").write_bytes(identity.authority)
    user = {
        "tokenFile": "token",
        "client-certificate-data": base64.b64encode(identity.certificate).decode(),
        "client-key-data": base64.b64encode(identity.key).decode(),
    }
    cluster = {"server": "https://a:1", "certificate-authority": "ca.pem"}
    endpoint = read_kubeconfig(write(tmp_path / "config", user, cluster))
    assert endpoint.token == "from-file"
    assert endpoint.ssl is not None
    assert len(endpoint.ssl.get_ca_certs()) == 1


def test_kubeconfig_without_verification_or_tls(tmp_path: Path) -> None:
    """Only when it says so itself."""
    insecure = {"server": "https://a:1", "insecure-skip-tls-verify": True}
    endpoint = read_kubeconfig(write(tmp_path / "a", {}, insecure))
    assert endpoint.ssl is not None
    assert endpoint.ssl.verify_mode is ssl.CERT_NONE
    assert read_kubeconfig(write(tmp_path / "b", {}, {"server": "http://a:1"})).ssl is None


@pytest.mark.parametrize(
    ("user", "cluster", "more", "says"),
    [
        ({"exec": {"command": "x"}}, None, {}, "logs in with a plug-in"),
        ({}, {"server": "ftp://a"}, {}, "no usable server"),
        ({}, None, {"current-context": "y"}, "no context 'y'[\\s\\S]*one of: x"),
        ({}, None, {"clusters": []}, "no cluster 'c'"),
        ({}, {"server": "https://a", "certificate-authority": "none.pem"}, {}, "cannot read"),
        ({}, {"server": "https://a", "certificate-authority-data": "%"}, {}, "cannot read"),
        ({}, {"server": "https://a", "certificate-authority-data": "AAAA"}, {}, "unusable cert"),
    ],
)
def test_kubeconfig_that_cannot_be_used(
    tmp_path: Path, user: Obj, cluster: Obj | None, more: Obj, says: str
) -> None:
    """Each says which file and what is wrong with it."""
    path = write(tmp_path / "config", user, cluster, **more)
    with pytest.raises(TargetError, match=says) as refused:
        read_kubeconfig(path)
    assert str(path) in refused.value.message


@pytest.mark.parametrize("content", [None, b"\xff", b"a: [", b"[]"])
def test_kubeconfig_that_is_none(tmp_path: Path, content: bytes | None) -> None:
    """Missing, not text, not YAML, not a mapping."""
    path = tmp_path / "config"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TargetError, match=str(path)):
        read_kubeconfig(path)
