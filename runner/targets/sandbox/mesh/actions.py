"""The parts of a route that need nothing but the object: retries, headers, redirects. Pure.

Istio's route builder was the source of the defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.targets.sandbox.mesh.durations import envoy_duration
from runner.targets.sandbox.mesh.model import Xds

DEFAULT_ATTEMPTS = 2
# Istio 1.24 and later: a 503 of the application is not retried unless the user says so.
DEFAULT_RETRY_ON = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
HOST_SELECTION_ATTEMPTS = 5
_REDIRECTS = {
    301: "MOVED_PERMANENTLY",
    302: "FOUND",
    303: "SEE_OTHER",
    307: "TEMPORARY_REDIRECT",
    308: "PERMANENT_REDIRECT",
}
_PREVIOUS_HOSTS = {
    "name": "envoy.retry_host_predicates.previous_hosts",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3"
        ".PreviousHostsPredicate"
    },
}


def retry_policy(retries: Mapping[str, Any] | None, *, hashed: bool) -> Xds | None:
    """Istio's retry policy; None when attempts are 0.

    Without consistent hashing a retry avoids the hosts that were tried before.
    """
    if retries is None:
        retries = {"attempts": DEFAULT_ATTEMPTS}
    if not retries.get("attempts"):
        return None
    retry_on, codes = _retry_on(retries.get("retryOn") or DEFAULT_RETRY_ON)
    policy: Xds = {
        "num_retries": retries["attempts"],
        "retry_on": retry_on,
        "host_selection_retry_max_attempts": HOST_SELECTION_ATTEMPTS,
    }
    if codes:
        policy["retriable_status_codes"] = codes
    if retries.get("perTryTimeout"):
        policy["per_try_timeout"] = envoy_duration(retries["perTryTimeout"])
    if retries.get("retryIgnorePreviousHosts", not hashed):
        policy["retry_host_predicate"] = [_PREVIOUS_HOSTS]
    if retries.get("backoff"):
        policy["retry_back_off"] = {"base_interval": envoy_duration(retries["backoff"])}
    return policy


def _retry_on(text: str) -> tuple[str, list[int]]:
    """Conditions and status codes of ``retryOn``; numbers among its parts are codes."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    codes = [int(part) for part in parts if part.isdigit()]
    conditions = [part for part in parts if not part.isdigit()]
    if codes and "retriable-status-codes" not in conditions:
        conditions.append("retriable-status-codes")
    return ",".join(conditions), codes


def hash_policy(policy: Mapping[str, Any]) -> Xds | None:
    """What a route hashes for a traffic policy with ``consistentHash``; None without it."""
    consistent = (policy.get("loadBalancer") or {}).get("consistentHash") or {}
    if consistent.get("httpHeaderName"):
        return {"header": {"header_name": consistent["httpHeaderName"]}}
    if consistent.get("httpCookie"):
        cookie = consistent["httpCookie"]
        result = {"name": cookie.get("name", "")}
        if cookie.get("path"):
            result["path"] = cookie["path"]
        if cookie.get("ttl"):
            result["ttl"] = envoy_duration(cookie["ttl"])
        return {"cookie": result}
    if consistent.get("useSourceIp"):
        return {"connection_properties": {"source_ip": True}}
    if consistent.get("httpQueryParameterName"):
        return {"query_parameter": {"name": consistent["httpQueryParameterName"]}}
    return None


def rewrite(action: Xds, rewriting: Mapping[str, Any]) -> None:
    """Let an Envoy route action rewrite the path."""
    regex = rewriting.get("uriRegexRewrite")
    if regex:
        action["regex_rewrite"] = {
            "pattern": {"regex": regex.get("match", "")},
            "substitution": regex.get("rewrite", ""),
        }
    elif rewriting.get("uri"):
        action["prefix_rewrite"] = rewriting["uri"]


def redirect(wanted: Mapping[str, Any]) -> Xds:
    """Envoy's redirect of ``http[].redirect``."""
    names = {
        "uri": "path_redirect",
        "authority": "host_redirect",
        "scheme": "scheme_redirect",
        "port": "port_redirect",
    }
    result = {envoy: wanted[name] for name, envoy in names.items() if wanted.get(name)}
    result["response_code"] = _REDIRECTS[wanted.get("redirectCode") or 301]
    return result


def direct_response(response: Mapping[str, Any]) -> Xds:
    """Envoy's answer of ``http[].directResponse``."""
    result: Xds = {"status": response.get("status", 0)}
    text = (response.get("body") or {}).get("string")
    if text:
        result["body"] = {"inline_string": text}
    return result


def header_operations(result: Xds, headers: Mapping[str, Any], authority: str = "") -> str:
    """Add Envoy's header operations to ``result``.

    Returns:
        The authority for the request: the given one, or else what the operations set.
    """
    request, response = headers.get("request") or {}, headers.get("response") or {}
    for direction, operations in (("request", request), ("response", response)):
        # Istio adds last, so that "add" follows what "set" overwrote.
        changes = [
            {"header": {"key": key, "value": value}, "append_action": action}
            for operation, action in (
                ("set", "OVERWRITE_IF_EXISTS_OR_ADD"),
                ("add", "APPEND_IF_EXISTS_OR_ADD"),
            )
            for key, value in sorted((operations.get(operation) or {}).items())
            if not _is_internal(key)
        ]
        if changes:
            result.setdefault(f"{direction}_headers_to_add", []).extend(changes)
        removed = [key for key in operations.get("remove") or [] if key and not _is_internal(key)]
        if removed:
            result.setdefault(f"{direction}_headers_to_remove", []).extend(removed)
    for operation in ("set", "add"):
        for key, value in (request.get(operation) or {}).items():
            if key.lower() in {"host", ":authority"}:
                authority = authority or value
    return authority


def _is_internal(key: str) -> bool:
    """Whether a header is one that only Envoy itself can change."""
    return key.startswith(":") or key.lower() == "host"
