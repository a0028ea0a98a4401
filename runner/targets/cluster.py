"""A real cluster as a target: a context that ``seatrial.yaml`` names, never the current one.

The run's children get a kubeconfig of their own with that one context, in a private folder that is
removed at the end; plug-ins that log in (``exec``) keep working, because the entry is copied whole.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from runner.errors import TargetError
from runner.model.plan import Plan
from runner.model.recording import TargetInfo
from runner.model.target import ClusterSpec
from runner.private import PrivateFolder
from runner.targets import lease
from runner.targets.inspection import read_objects
from runner.targets.lease import HOLD_S, Heal, unhealed, untold
from runner.targets.reachability import check_ingress, check_prometheus
from runner.targets.snapshot import write_snapshot
from runner.targets.survey import readiness
from runner.textfile import is_there

_PATH_KEYS = ("certificate-authority", "client-certificate", "client-key", "tokenFile")


def kubeconfig_paths(spec: ClusterSpec) -> list[Path]:
    """The kubeconfig files to look into, in kubectl's order."""
    if spec.kubeconfig:
        return [Path(spec.kubeconfig).expanduser()]
    listed = [Path(p) for p in os.environ.get("KUBECONFIG", "").split(os.pathsep) if p]
    return listed or [Path.home() / ".kube" / "config"]


def one_context(paths: Sequence[Path], context: str) -> dict[str, Any]:
    """A kubeconfig with ``context`` only, merged from ``paths`` as kubectl merges them.

    Raises:
        TargetError: When there is no file, or none has that context; lists those there are.
    """
    if not any(map(is_there, paths)):
        raise TargetError(
            f"the kubeconfig file does not exist: {', '.join(map(str, paths))}",
            hint="see `kubeconfig:` in seatrial.yaml, and KUBECONFIG",
        )
    merged: dict[str, dict[str, Any]] = {"contexts": {}, "clusters": {}, "users": {}}
    for path in paths:
        for section, entries in _sections(path).items():
            for name, entry in entries.items():
                merged[section].setdefault(name, entry)  # The first file that has it wins.
    chosen = merged["contexts"].get(context)
    if chosen is None:
        known = ", ".join(sorted(merged["contexts"])) or "none"
        raise TargetError(
            f"there is no context {context!r} in {', '.join(map(str, paths))}", accepted=known
        )
    cluster, user = chosen.get("cluster") or "", chosen.get("user") or ""
    if not (isinstance(cluster, str) and isinstance(user, str)):
        raise TargetError(
            f"the context {context!r} in {', '.join(map(str, paths))} is none",
            accepted="'cluster' and 'user', each the name of an entry",
        )
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
        "contexts": [{"name": context, "context": chosen}],
        "clusters": [{"name": cluster, "cluster": merged["clusters"].get(cluster, {})}],
        "users": [{"name": user, "user": merged["users"].get(user, {})}],
    }


def _sections(path: Path) -> dict[str, dict[str, Any]]:
    from runner.yamltext import read_yaml

    data = read_yaml(path) if is_there(path) else {}
    if not isinstance(data, dict):
        raise TargetError(f"{path} is not a kubeconfig")
    sections = {}
    for section in ("contexts", "clusters", "users"):
        entries = data.get(section) or ()
        try:
            sections[section] = {
                str(entry["name"]): _absolute(entry.get(section[:-1]) or {}, path.parent)
                for entry in entries
            }
        except (TypeError, KeyError, AttributeError, ValueError):
            raise TargetError(f"{path} is not a kubeconfig: its {section} are no such") from None
    return sections


def _absolute(entry: dict[str, Any], folder: Path) -> dict[str, Any]:
    """``entry`` with its paths made absolute, since it moves to another folder."""
    return {
        key: str((folder / str(value)).resolve()) if key in _PATH_KEYS and value else value
        for key, value in entry.items()
    }


def write_kubeconfig(spec: ClusterSpec, folder: Path) -> tuple[Path, str]:
    """Write the one context into ``folder`` (mode 0600); returns the file and the API server."""
    import json

    config = one_context(kubeconfig_paths(spec), spec.context)
    path = folder / "kubeconfig"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        json.dump(config, out)  # JSON is YAML, and needs no writer of its own.
    return path, str(config["clusters"][0]["cluster"].get("server", ""))


def bare_info(name: str, spec: ClusterSpec, flags: str = "") -> TargetInfo:
    """What ``seatrial.yaml`` (or ``flags`` instead of it) alone says about the cluster."""
    return TargetInfo(
        kind="cluster",
        name=name,
        namespace=spec.namespace,
        ingress_url=spec.ingress,
        host=spec.host,
        prometheus_url=spec.prometheus.shown,
        prometheus=spec.prometheus,
        context=spec.context,
        bounds=spec.bounds,
        flags=flags,
        require_opt_in=spec.require_opt_in,
    )


def cluster_info(
    name: str, spec: ClusterSpec, kubeconfig: Path | None = None, flags: str = ""
) -> TargetInfo:
    """Where the cluster is. Without ``kubeconfig``, the user's own file is named.

    Raises:
        TargetError: When no kubeconfig has that context.
    """
    paths = kubeconfig_paths(spec)
    server = one_context(paths, spec.context)["clusters"][0]["cluster"].get("server", "")
    found = {
        "kubeconfig": str(kubeconfig or _holder(paths, spec.context)),
        "identity": f"{spec.context} at {server}",
    }
    return bare_info(name, spec, flags).model_copy(update=found)


def _holder(paths: Sequence[Path], context: str) -> Path:
    """The first file that has ``context``."""
    for path in paths:
        if is_there(path) and context in _sections(path)["contexts"]:
            return path
    return paths[0]


class ClusterTarget:
    """The cluster that ``spec`` names.

    Args:
        name: The target's name in ``seatrial.yaml``.
        spec: Its context and addresses.
        flags: What names it on a command line; empty where ``name`` does.
        ignore_alerts: Whether a run may begin although alerts fire.
        folders: Where locustfiles may be, which are read to tell whom the load reaches.
        hold_s: How long the run may take; matters where its Lease cannot be renewed.
        heal: Removes what a run that is no more has left, before its Lease is taken over.
        tell: Called with what is used, in words, and with warnings.
    """

    def __init__(
        self,
        name: str,
        spec: ClusterSpec,
        *,
        flags: str = "",
        ignore_alerts: bool = False,
        folders: Sequence[Path] = (),
        hold_s: float = HOLD_S,
        heal: Heal = unhealed,
        tell: Callable[[str], None] = untold,
    ) -> None:
        self._name = name
        self._spec = spec
        self._flags = flags
        self._ignore_alerts = ignore_alerts
        self._folders = tuple(folders)
        self._remarks: tuple[str, ...] = ()
        self._hold_s = hold_s
        self._tell = tell
        self._heal = heal
        self._private: PrivateFolder | None = None
        self._run_id = ""
        self._info: TargetInfo | None = None

    def open(self, run_id: str) -> TargetInfo:
        self._private = PrivateFolder()
        kubeconfig, _ = write_kubeconfig(self._spec, self._private.path)
        info = cluster_info(self._name, self._spec, kubeconfig, self._flags)
        check_ingress(info)
        check_prometheus(info)
        self._info, self._run_id = info, run_id
        self._tell(f"attached to context {info.identity}, namespace {info.namespace}")
        lease.take(info, run_id, self._heal, self._tell, self._hold_s)
        return info

    def preflight(self, plan: Plan) -> Sequence[str]:
        found = readiness(
            plan,
            self._opened(),
            self._spec,
            folders=self._folders,
            ignore_alerts=self._ignore_alerts,
        )
        self._remarks = found.remarks
        for remark in found.remarks:
            self._tell(f"warning: {remark}")
        return found.refusals

    def remarks(self) -> Sequence[str]:
        return self._remarks

    def snapshot(self, folder: Path) -> None:
        write_snapshot(read_objects(self._opened()), folder)

    def close(self) -> None:
        if self._info is not None:
            lease.release(self._info, self._run_id, self._tell)
            self._info = None
        if self._private is not None:
            self._private.remove()
            self._private = None

    def _opened(self) -> TargetInfo:
        if self._info is None:
            raise TargetError(f"the target {self._name!r} has not been opened")
        return self._info
