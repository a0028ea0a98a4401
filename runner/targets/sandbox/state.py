"""What a sandbox says about itself: its status file, and its logs.

No child process and no network here, and no third-party import: the command line loads it.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from runner.errors import SeatrialError, TargetError

State = Literal["starting", "ready", "stopping", "failed"]

STATUS_FILE: Final = "status.json"
MESH_STATUS_FILE: Final = "mesh-status.json"
_OF_THE_MESH: Final = ("unsupported", "rejected", "faults")


@dataclass(frozen=True, slots=True)
class SandboxInfo:
    """What one sandbox says about itself.

    Attributes:
        name: Its name.
        state: ``starting``, ``ready``, ``stopping`` or ``failed``.
        message: What it is waiting for, or why it failed; empty when all is well.
        home: Its private folder.
        kubeconfig: The kubeconfig of its API server, with an address and a credential.
        context: The context in that file.
        namespace: The namespace of the shop.
        host: The host name that the ingress routes by (the ``Host`` header of a request).
        ingress_url: Base URL of the ingress gateway.
        api_url: URL of the Kubernetes API.
        prometheus_url: Base URL of Prometheus.
        attached: True when the API server is somebody else's.
        ports: Name of a port to its number on 127.0.0.1.
        slot: Its slot on this machine; its pods have the addresses ``127.(64 + slot).x.y``.
        pids: Process ids by part: ``supervisor``, ``envoy``, ``prometheus`` and each pod's name.
        parts: Version of each real part.
        owner_pid: The process whose end also ends the sandbox; None when it stays up by itself.
        started_at_s: Start of the supervisor, in seconds since the epoch.
        ready_after_s: Seconds from start to ready; None before that.
        unsupported: Fields of Istio objects that this sandbox does not honour.
        rejected: Updates that Envoy refused.
        faults: Faults that routes carry (``subject``, ``run``, ``fault``, ``expires_at``).
        options: Its settings, as ``sandbox up --set`` names them.
        error: The error that made it fail (``kind``, ``message``, ``accepted``, ``hint``).
    """

    name: str
    state: State
    home: Path
    message: str = ""
    kubeconfig: Path = Path()
    context: str = ""
    namespace: str = ""
    host: str = ""
    ingress_url: str = ""
    api_url: str = ""
    prometheus_url: str = ""
    attached: bool = False
    ports: Mapping[str, int] = field(default_factory=dict)
    slot: int = -1
    pids: Mapping[str, int] = field(default_factory=dict)
    parts: Mapping[str, str] = field(default_factory=dict)
    owner_pid: int | None = None
    started_at_s: float = 0.0
    ready_after_s: float | None = None
    unsupported: tuple[Mapping[str, Any], ...] = ()
    rejected: tuple[Mapping[str, Any], ...] = ()
    faults: tuple[Mapping[str, Any], ...] = ()
    options: Mapping[str, float] = field(default_factory=dict)
    error: Mapping[str, str] = field(default_factory=dict)

    @property
    def since(self) -> str:
        """When it was started, in words: ``2026-01-02 03:04:05 UTC``."""
        return datetime.fromtimestamp(self.started_at_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")

    @property
    def exports(self) -> tuple[str, ...]:
        """Shell lines that point kubectl and seatrial's own tools at this sandbox."""
        return (
            f"export KUBECONFIG={shlex.quote(str(self.kubeconfig))}",
            # kubectl caches what a server can do by its address; another sandbox may stand there.
            f"export KUBECACHEDIR={shlex.quote(str(self.home / 'kubectl-cache'))}",
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; :func:`info_from_json` reads them."""
        document = asdict(self)
        document["home"] = str(self.home)
        document["kubeconfig"] = str(self.kubeconfig)
        document["exports"] = list(self.exports)
        return document


def info_from_json(document: Mapping[str, Any]) -> SandboxInfo:
    """The counterpart of :meth:`SandboxInfo.to_json`; unknown keys are left out."""
    known = {f.name for f in fields(SandboxInfo)}
    values = {key: value for key, value in document.items() if key in known}
    values["home"] = Path(values["home"])
    values["kubeconfig"] = Path(values.get("kubeconfig", ""))
    for name in _OF_THE_MESH:
        values[name] = tuple(values.get(name, ()))
    return SandboxInfo(**values)


def write_status(info: SandboxInfo) -> None:
    """Replace the status file of ``info.home`` in one step."""
    write_atomically(info.home / STATUS_FILE, json.dumps(info.to_json(), indent=1))


def read_status(home: Path) -> SandboxInfo | None:
    """What the status file says, with what the mesh reports; None when there is none yet."""
    document = _read_json(home / STATUS_FILE)
    if document is None:
        return None
    info = info_from_json(document)
    mesh = _read_json(home / MESH_STATUS_FILE) or {}
    reported: dict[str, Any] = {
        name: tuple(_as_mapping(item) for item in mesh.get(name) or ()) for name in _OF_THE_MESH
    }
    return replace(info, **reported)


def write_atomically(path: Path, text: str) -> None:
    """Write ``text`` (mode 0600) so that a reader sees the old file or the new one, whole."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.chmod(0o600)
    draft.replace(path)


def error_to_json(error: BaseException) -> dict[str, str]:
    """An error for the status file; :func:`error_from_json` makes it an exception again."""
    if isinstance(error, SeatrialError):
        kind, message = type(error).__name__, error.message
        return {"kind": kind, "message": message, "accepted": error.accepted, "hint": error.hint}
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return {"kind": "TargetError", "message": text, "accepted": "", "hint": ""}


def error_from_json(document: Mapping[str, str]) -> SeatrialError:
    """The exception that :func:`error_to_json` was given, at least as a ``TargetError``."""
    from runner import errors

    kind = getattr(errors, document.get("kind", ""), TargetError)
    if not (isinstance(kind, type) and issubclass(kind, SeatrialError)):
        kind = TargetError
    error: SeatrialError = kind(
        document.get("message", "the sandbox failed"),
        accepted=document.get("accepted", ""),
        hint=document.get("hint", ""),
    )
    return error


def log_files(home: Path) -> Iterator[tuple[str, Path]]:
    """Each log of a sandbox: the part's name (``envoy``, ``pods/order-api-…``) and its file."""
    logs = home / "logs"
    for path in sorted(logs.rglob("*.log")):
        yield str(path.relative_to(logs).with_suffix("")), path


def start_mark(pid: int) -> str | None:
    """What tells a live process from a later one with the same id; None when it is gone.

    The mark is the kernel's start time of the process. A zombie counts as gone, unless some of
    its threads are still on their way out: until then they hold its ports.
    """
    try:
        # The name in parentheses may hold anything; the state is the first field after it.
        fields = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" and int(fields[17]) <= 1 else fields[19]


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def _as_mapping(item: object) -> Mapping[str, Any]:
    return item if isinstance(item, dict) else {"message": str(item)}
