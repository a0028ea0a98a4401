"""Reading a kubeconfig: where an API server is and how to log in to it.

Supported are a bearer token (inline or in a file), client certificates, a CA (inline or in a
file), and ``insecure-skip-tls-verify``. Log-in plug-ins (``exec``, ``auth-provider``) are refused.
"""

from __future__ import annotations

import base64
import binascii
import ssl
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.errors import TargetError


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One context of a kubeconfig, resolved.

    Attributes:
        server: Base URL without a slash at its end.
        token: Bearer token; empty when the log-in is by certificate.
        ssl: TLS settings; ``None`` for plain HTTP.
        context: Name of the context.
        namespace: The context's namespace.
    """

    server: str
    token: str = field(default="", repr=False)
    ssl: ssl.SSLContext | None = None
    context: str = ""
    namespace: str = "default"


def read_kubeconfig(path: Path, context: str | None = None) -> Endpoint:
    """Resolve one context of a kubeconfig file; the current one when none is named.

    Raises:
        TargetError: The file cannot be read, is malformed, lacks the context, or asks for an
            unsupported log-in.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        config = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (OSError, YAMLError, UnicodeDecodeError) as error:
        raise TargetError(f"{path}: cannot read the kubeconfig: {error}") from error
    if not isinstance(config, dict):
        raise TargetError(f"{path}: not a kubeconfig", accepted="a YAML mapping of kind Config")
    name = context or config.get("current-context") or ""
    chosen = _named(path, config, "contexts", "context", name)
    cluster = _named(path, config, "clusters", "cluster", chosen.get("cluster", ""))
    user = _named(path, config, "users", "user", chosen.get("user", "")) if "user" in chosen else {}
    server = str(cluster.get("server", "")).rstrip("/")
    if not server.startswith(("https://", "http://")):
        raise TargetError(f"{path}: context {name!r} has no usable server: {server!r}")
    if "exec" in user or "auth-provider" in user:
        raise TargetError(
            f"{path}: context {name!r} logs in with a plug-in, which is not supported here",
            accepted="a token, a tokenFile or a client certificate",
        )
    return Endpoint(
        server=server,
        token=_token(path, user),
        ssl=_tls(path, cluster, user) if server.startswith("https://") else None,
        context=name,
        namespace=chosen.get("namespace") or "default",
    )


def _named(path: Path, config: dict[str, Any], section: str, key: str, name: str) -> dict[str, Any]:
    entries = config.get(section) or []
    for entry in entries:
        if entry.get("name") == name:
            return dict(entry.get(key) or {})
    known = ", ".join(str(entry.get("name")) for entry in entries) or "none"
    raise TargetError(f"{path}: no {key} {name!r}", accepted=f"one of: {known}")


def _token(path: Path, user: dict[str, Any]) -> str:
    if user.get("token"):
        return str(user["token"])
    if user.get("tokenFile"):
        return Path(path.parent, user["tokenFile"]).read_text(encoding="utf-8").strip()
    return ""


def _material(path: Path, section: dict[str, Any], key: str) -> bytes:
    """PEM from ``<key>-data`` (base64) or from the file named by ``<key>``; empty if neither."""
    try:
        if section.get(f"{key}-data"):
            return base64.b64decode(str(section[f"{key}-data"]), validate=True)
        if section.get(key):
            return Path(path.parent, section[key]).read_bytes()
    except (OSError, binascii.Error) as error:
        raise TargetError(f"{path}: cannot read {key}: {error}") from error
    return b""


def _tls(path: Path, cluster: dict[str, Any], user: dict[str, Any]) -> ssl.SSLContext:
    authority = _material(path, cluster, "certificate-authority")
    try:
        context = ssl.create_default_context(cadata=authority.decode() if authority else None)
        if cluster.get("insecure-skip-tls-verify"):
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        certificate = _material(path, user, "client-certificate")
        if certificate:
            # The ssl module loads a key from a file only; a private one, gone at once.
            with tempfile.NamedTemporaryFile() as pair:
                pair.write(certificate + b"\n" + _material(path, user, "client-key"))
                pair.flush()
                context.load_cert_chain(pair.name)
    except (ssl.SSLError, ValueError) as error:
        raise TargetError(f"{path}: unusable certificates: {error}") from error
    return context
