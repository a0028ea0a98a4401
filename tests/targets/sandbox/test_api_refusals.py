"""What the API server refuses: each malformed request with a code and a reason of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from api_rig import Server, api_server

pytestmark = pytest.mark.sandbox
NS = "shop"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with api_server(tmp_path_factory.mktemp("api") / "sandbox-refusals") as running:
        running.api.post("/api/v1/namespaces", {"metadata": {"name": NS}})
        yield running


@pytest.mark.parametrize(
    "case",
    [
        ("POST", "configmaps", b"{", "application/json", 400, "not valid JSON"),
        ("POST", "configmaps", [], "application/json", 400, "not an object"),
        ("POST", "configmaps", "text", "application/json", 400, "not an object"),
        ("POST", "configmaps", {"kind": "Pod"}, "application/json", 400, "cannot be handled as"),
        ("POST", "configmaps", {"apiVersion": "v2"}, "application/json", 400, "API version"),
        ("POST", "configmaps", {"metadata": {"namespace": "x"}}, "application/json", 400, "x !="),
        ("POST", "configmaps", {"metadata": {}}, "application/json", 422, "name or generateName"),
        ("POST", "configmaps", {"metadata": {"name": "A"}}, "application/json", 422, "RFC 1123"),
        ("POST", "configmaps", {"metadata": []}, "application/json", 400, "metadata"),
        ("POST", "configmaps", {"metadata": {"labels": {"a": 1}}}, "application/json", 400, "text"),
        ("POST", "configmaps", b"x", "text/plain", 415, "accepted media types"),
        (
            "POST",
            "configmaps",
            b"k8s\x00\x0a\xff",
            "application/vnd.kubernetes.protobuf",
            400,
            "pr",
        ),
        ("POST", "configmaps", b"[" * 5000, "application/json", 400, "JSON"),
        ("POST", "configmaps", b"{" + b" " * 4_000_000 + b"}", "application/json", 413, "larger"),
        ("POST", "configmaps/x", {}, "application/json", 405, "does not allow"),
        (
            "PUT",
            "configmaps/none",
            {"metadata": {"name": "none"}},
            "application/json",
            404,
            "found",
        ),
        ("PUT", "configmaps/a", {"metadata": {"name": "b"}}, "application/json", 400, "(b) does"),
        ("PATCH", "configmaps/none", {}, "application/json", 415, "merge-patch"),
        ("PATCH", "configmaps/none", {}, "application/merge-patch+json", 404, '"none" not found'),
        ("DELETE", "pods/none", {"gracePeriodSeconds": "x"}, "application/json", 400, "grace"),
        ("GET", "pods?labelSelector=a%20b", None, "", 400, "unable to parse requirement"),
        ("GET", "pods?fieldSelector=a", None, "", 400, "invalid field selector"),
        ("GET", "pods?watch=1&resourceVersion=x", None, "", 400, "invalid resourceVersion"),
        ("GET", "pods/x/log", None, "", 404, 'pods "x" not found'),
        ("GET", "pods/x/exec", None, "", 404, "could not find the requested resource"),
        ("GET", "unicorns", None, "", 404, "could not find the requested resource"),
    ],
)
def test_nonsense_is_refused_with_a_reason(
    server: Server, case: tuple[str, str, Any, str, int, str]
) -> None:
    """Each malformed request gets its own code and a Status that says what is wrong."""
    method, path, body, media, code, says = case
    status, answer = server.api.send(
        method, f"/api/v1/namespaces/{NS}/{path}", body, Content_Type=media
    )
    assert (status, answer["kind"], answer["code"]) == (code, "Status", code)
    assert says in answer["message"]
