"""The environment of the children that speak to a cluster: to that of the target, and no other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from runner.model.recording import TargetInfo

FOREIGN = ("CHAOSTOOLKIT_", "KUBERNETES_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


def child_environment(
    environment: Mapping[str, str], target: TargetInfo, private: Path
) -> dict[str, str]:
    """The environment of a child that speaks to the cluster of ``target``, and to no other.

    Args:
        environment: Ours, for log-in plug-ins that need it.
        target: Whose kubeconfig is handed over.
        private: A folder of mode 0700, for the client's temporary files.
    """
    local = target.kind == "sandbox"
    kept = {
        name: value
        for name, value in environment.items()
        if not name.upper().startswith(FOREIGN[:2] if not local else FOREIGN)
    }
    context = {"KUBERNETES_CONTEXT": target.context} if target.context else {}
    return (
        kept
        | context
        | {
            "KUBECONFIG": str(Path(target.kubeconfig).resolve()),
            "TMPDIR": str(private),
            "SEATRIAL_PRIVATE": str(private),
            "PYTHONUNBUFFERED": "1",
            "TERM": "dumb",  # Otherwise the tool colours its log.
        }
    )
