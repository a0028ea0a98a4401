"""Which cluster to speak to, and as whom: a kubeconfig that is named, or a pod's service account.

Neither is ever the fallback of the other: what breaks things must not end up in another cluster.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from runner.errors import TargetError

SERVICE_ACCOUNT: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
"""Where a pod finds what it is in the cluster."""


def load_kubeconfig(settings: Any, path: str, context: str) -> None:
    """Set a client's ``settings`` from one file, for a context in it (its current one when empty).

    Raises:
        TargetError: When the file, or the context in it, is not there or cannot be used.
    """
    from kubernetes import config
    from kubernetes.config.config_exception import ConfigException

    if not path or not Path(path).is_file():
        raise TargetError(
            f"no kubeconfig: {path!r} is not a file",
            accepted="the path of one file, as argument or in KUBECONFIG",
        )
    try:
        config.load_kube_config(path, context or None, settings, persist_config=False)
    except (ConfigException, OSError, ValueError, TypeError) as error:
        raise TargetError(f"the kubeconfig {path} cannot be used: {error}") from error


def load_service_account(settings: Any, folder: Path) -> None:
    """Set a client's ``settings`` for the cluster of this pod, with ``token`` and ``ca.crt``.

    Raises:
        TargetError: When this is no pod, or has no such files.
    """
    from kubernetes.config.config_exception import ConfigException
    from kubernetes.config.incluster_config import InClusterConfigLoader

    loader = InClusterConfigLoader(str(folder / "token"), str(folder / "ca.crt"))
    try:
        loader.load_and_set(settings)
    except (ConfigException, OSError) as error:
        raise TargetError(f"this is no pod with a service account: {error}") from error
