"""Moving a configuration into the folder that Envoy watches, and seeing that it is taken.

A file is written beside its place and moved into it, because Envoy notices nothing else. The
order never lets a request meet something that is not there: clusters come before the routes that
use them and go after them; an address that is a listener of ours is announced after it listens.
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
from runner.targets.sandbox.mesh.model import GATEWAY_WORKLOAD, MeshConfig, Xds
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
        self._rejected: dict[str, int] = {}
        self._listeners: frozenset[str] = frozenset()
        self._listening = 0
        self._version = 0

    async def apply(self, config: MeshConfig) -> Outcome:
        """Make Envoy have ``config``; returns when it has taken or rejected all of it.

        Raises:
            TargetError: When Envoy does not answer, or shows neither in time.
        """
        offset = self._envoy.log_size()
        before = self._rejected
        fresh = config.listeners.keys() - self._listeners
        early, late = self._in_turn(config, announce_late=bool(fresh))
        versions = self._write_endpoints(early)
        # What goes stays until the routes have changed.
        both = {**self._clusters, **config.clusters}
        versions[_CDS] = self._write(self._settings.xds / "cds.json", list(both.values()))
        await self._taken(versions)
        versions = {
            f".rds.{name}": self._write(Path(rds_path(self._settings, name)), [routes])
            for name, routes in config.routes.items()
        }
        listeners = list(config.listeners.values())
        versions[_LDS] = self._write(self._settings.xds / "lds.json", listeners)
        await self._taken(versions, listening=self._listening + len(fresh))
        self._clusters, self._listeners = both, frozenset(config.listeners)
        if self._rejected == before:
            self._clusters = dict(config.clusters)
            versions = self._write_endpoints(late)
            clusters = list(config.clusters.values())
            versions[_CDS] = self._write(self._settings.xds / "cds.json", clusters)
            await self._taken(versions)
            self._forget_old(config)
        if self._rejected == before:
            return Outcome(())
        reasons = self._envoy.rejections(offset)
        return Outcome(tuple(reasons) or ("Envoy rejected an update and did not say why",))

    def _in_turn(
        self, config: MeshConfig, *, announce_late: bool
    ) -> tuple[dict[str, Xds], dict[str, Xds]]:
        """The endpoints to write before everything else, and those to write after it.

        A new cluster can not start without its endpoints. Others wait when listeners are new,
        because they may have become endpoints.
        """
        early = {
            key: assignment
            for key, assignment in config.endpoints.items()
            if not announce_late or Path(eds_path(self._settings, key)) not in self._written
        }
        return early, {k: v for k, v in config.endpoints.items() if k not in early}

    def _write_endpoints(self, endpoints: Mapping[str, Xds]) -> dict[str, str]:
        """Write endpoints; the gateway, which has every cluster, shows whether they are taken."""
        return {
            f"{key}@{GATEWAY_WORKLOAD};": self._write(
                Path(eds_path(self._settings, key)), [assignment]
            )
            for key, assignment in endpoints.items()
        }

    def _write(self, path: Path, resources: list[Xds]) -> str:
        """Move a file into place when its content is new; returns its version, or nothing."""
        content = json.dumps(resources, sort_keys=True)
        if self._written.get(path) == content:
            return ""
        self._version += 1
        document = f'{{"version_info": "{self._version}", "resources": {content}}}'
        write_atomically(path, document)
        self._written[path] = content
        return str(self._version)

    async def _taken(self, versions: Mapping[str, str], listening: int = 0) -> None:
        """Wait until Envoy took, or rejected, the new version of each subscription.

        A subscription is named by the end of its statistics' prefix; no version, no wait. When
        all is taken, also wait for new clusters to be warm and for ``listening`` listeners.
        """
        waiting = {name: version for name, version in versions.items() if version}
        if not waiting:
            return
        deadline = time.monotonic() + ACCEPT_LIMIT_S
        before = self._rejected
        while True:
            stats = await self._envoy.stats(_SUBSCRIPTIONS)
            self._look(stats)
            missing = [
                name
                for name, version in waiting.items()
                if not _has(stats, name, version) and not _grew(stats, before, name)
            ]
            ready = not stats.get(_WARMING) and self._listening >= listening
            if not missing and (ready or self._rejected != before):
                return
            if time.monotonic() > deadline:
                raise TargetError(
                    f"Envoy took no notice of {', '.join(missing) or 'clusters and listeners'} "
                    f"within {ACCEPT_LIMIT_S:g} s",
                    hint=f"its log is {self._envoy.log}",
                )
            await asyncio.sleep(_POLL_S)

    def _look(self, stats: Mapping[str, Any]) -> None:
        """Remember how often updates were rejected, and how many listeners were begun.

        Statistics of what is gone are gone; the numbers that remain never fall.
        """
        for name, value in stats.items():
            if value and name.endswith((".update_rejected", ".update_failure")):
                self._rejected = {**self._rejected, name: int(value)}
        self._listening = sum(int(stats.get(name, 0)) for name in _BEGUN)

    def _forget_old(self, config: MeshConfig) -> None:
        """Remove the files that nothing refers to any more."""
        wanted = {self._settings.xds / "cds.json", self._settings.xds / "lds.json"}
        wanted |= {Path(eds_path(self._settings, key)) for key in config.endpoints}
        wanted |= {Path(rds_path(self._settings, name)) for name in config.routes}
        for path in self._written.keys() - wanted:
            path.unlink(missing_ok=True)
            del self._written[path]


_WARMING: Final = "cluster_manager.warming_clusters"
_BEGUN: Final = (
    "listener_manager.listener_create_success",
    "listener_manager.listener_create_failure",
)
_SUBSCRIPTIONS: Final = (
    r"^(cluster_manager\.cds|listener_manager\.lds|http\..*\.rds)\."
    r".*(version_text|update_rejected|update_failure)$"
    r"|^cluster\..*\.update_(rejected|failure)$|^cluster\..*@istio-ingressgateway;\.version_text$"
    r"|^cluster_manager\.warming_clusters$|^listener_manager\.listener_create_(success|failure)$"
)


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
