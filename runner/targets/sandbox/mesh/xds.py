"""Moving a configuration into the folder that Envoy watches, and seeing that it is taken.

A file is written beside its place and moved into it, because Envoy notices nothing else. The
order never lets a route point at a cluster that is not there: endpoints and clusters come before
routes and listeners, and clusters go only after the routes that used them.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from runner.errors import TargetError
from runner.targets.sandbox.mesh.envoy import EnvoyProcess
from runner.targets.sandbox.mesh.model import MeshConfig, Xds
from runner.targets.sandbox.mesh.translate import eds_path, rds_path
from runner.targets.sandbox.settings import SandboxSettings
from runner.targets.sandbox.state import write_atomically

log = logging.getLogger(__name__)

ACCEPT_LIMIT_S: Final = 3.0
_POLL_S: Final = 0.002
_CDS: Final = "cluster_manager.cds"
_LDS: Final = "listener_manager.lds"


class Outcome(NamedTuple):
    """What became of an update: why Envoy rejected parts of it; empty when it took all."""

    rejected: tuple[str, ...]


class XdsFolder:
    """The files of one Envoy. One update at a time."""

    def __init__(self, settings: SandboxSettings, envoy: EnvoyProcess) -> None:
        self._settings = settings
        self._envoy = envoy
        self._written: dict[Path, str] = {}
        self._clusters: dict[str, Xds] = {}
        self._version = 0

    async def apply(self, config: MeshConfig) -> Outcome:
        """Make Envoy have ``config``; returns when it has taken or rejected all of it.

        Raises:
            TargetError: When Envoy does not answer, or shows neither in time.
        """
        self._version += 1
        offset = self._envoy.log_size()
        before = await self._envoy.stats(_SUBSCRIPTIONS)
        for key, assignment in config.endpoints.items():
            self._write(Path(eds_path(self._settings, key)), [assignment])
        cds = self._settings.xds / "cds.json"
        # What goes stays until the routes have changed.
        both = {**self._clusters, **config.clusters}
        if self._write(cds, list(both.values())):
            await self._taken({_CDS: cds}, before)
        waiting: dict[str, Path] = {}
        for name, routes in config.routes.items():
            path = Path(rds_path(self._settings, name))
            if self._write(path, [routes]):
                waiting[f".rds.{name}"] = path
        lds = self._settings.xds / "lds.json"
        if self._write(lds, list(config.listeners.values())):
            waiting[_LDS] = lds
        if waiting:
            await self._taken(waiting, before)
        self._clusters = dict(config.clusters)
        if self._write(cds, list(config.clusters.values())):
            await self._taken({_CDS: cds}, before)
        self._forget_old(config)
        after = await self._envoy.stats(_SUBSCRIPTIONS)
        if _rejections(after) == _rejections(before):
            return Outcome(())
        reasons = self._envoy.rejections(offset)
        return Outcome(tuple(reasons) or ("Envoy rejected an update and did not say why",))

    def _write(self, path: Path, resources: list[Xds]) -> bool:
        """Move a file into place when its content is new."""
        content = json.dumps(resources, sort_keys=True)
        if self._written.get(path) == content:
            return False
        document = f'{{"version_info": "{self._version}", "resources": {content}}}'
        write_atomically(path, document)
        self._written[path] = content
        return True

    async def _taken(self, waiting: Mapping[str, Path], before: Mapping[str, Any]) -> None:
        """Wait until each subscription (its name, or the end of it) took or rejected its file."""
        deadline = time.monotonic() + ACCEPT_LIMIT_S
        version = str(self._version)
        rejected = _rejections(before)
        while True:
            stats = await self._envoy.stats(_SUBSCRIPTIONS)
            missing = [
                name
                for name in waiting
                if not _has(stats, name, version) and not _grew(stats, rejected, name)
            ]
            if not missing and not stats.get("cluster_manager.warming_clusters"):
                return
            if time.monotonic() > deadline:
                raise TargetError(
                    f"Envoy took no notice of {', '.join(missing) or 'new clusters'} "
                    f"within {ACCEPT_LIMIT_S:g} s",
                    hint=f"its log is {self._envoy.log}",
                )
            await asyncio.sleep(_POLL_S)

    def _forget_old(self, config: MeshConfig) -> None:
        """Remove the files that nothing refers to any more."""
        wanted = {self._settings.xds / "cds.json", self._settings.xds / "lds.json"}
        wanted |= {Path(eds_path(self._settings, key)) for key in config.endpoints}
        wanted |= {Path(rds_path(self._settings, name)) for name in config.routes}
        for path in self._written.keys() - wanted:
            path.unlink(missing_ok=True)
            del self._written[path]


_SUBSCRIPTIONS: Final = (
    r"^(cluster_manager\.(cds\.|warming)|listener_manager\.lds\.|http\..*\.rds\.)"
    r".*(version_text|update_rejected|update_failure|clusters)$"
    r"|^cluster\..*update_(rejected|failure)$|^cluster_manager\.warming_clusters$"
)


def _rejections(stats: Mapping[str, Any]) -> dict[str, int]:
    """How often each subscription rejected an update, or could not read it."""
    return {
        name: int(value)
        for name, value in stats.items()
        if name.endswith((".update_rejected", ".update_failure")) and value
    }


def _has(stats: Mapping[str, Any], subscription: str, version: str) -> bool:
    return any(
        value == version and name.endswith(f"{subscription}.version_text")
        for name, value in stats.items()
    )


def _grew(stats: Mapping[str, Any], rejected: Mapping[str, int], subscription: str) -> bool:
    endings = (f"{subscription}.update_rejected", f"{subscription}.update_failure")
    return any(
        int(value) > rejected.get(name, 0)
        for name, value in stats.items()
        if name.endswith(endings)
    )
