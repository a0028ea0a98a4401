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


class _Move(NamedTuple):
    """A file that was moved into place just now, and the version that stands in it."""

    path: Path
    version: str


class XdsFolder:
    """The files of one Envoy. One update at a time."""

    def __init__(self, settings: SandboxSettings, envoy: EnvoyProcess) -> None:
        self._settings = settings
        self._envoy = envoy
        self._written: dict[Path, list[Xds]] = {}
        self._clusters: dict[str, Xds] = {}
        self._listeners: frozenset[str] = frozenset()
        # What Envoy's statistics said last: updates rejected by subscription, listeners begun.
        self._rejected: dict[str, int] = {}
        self._listening = 0
        self._version = 0

    async def apply(self, config: MeshConfig) -> Outcome:
        """Make Envoy have ``config``; returns when it has taken or rejected all of it.

        What was rejected is written again by the next call, even when it is the same.

        Raises:
            TargetError: When Envoy does not answer, or shows neither in time.
        """
        offset = self._envoy.log_size()
        fresh = config.listeners.keys() - self._listeners
        if fresh or config.clusters.keys() - self._clusters.keys():
            # Names may come back after their statistics were gone and began again at zero.
            self._look(await self._envoy.stats(_SUBSCRIPTIONS))
        rejected = not await self._move_all(config, fresh)
        if not rejected:
            return Outcome(())
        reasons = self._envoy.rejections(offset)
        return Outcome(tuple(reasons) or ("Envoy rejected an update and did not say why",))

    async def _move_all(self, config: MeshConfig, fresh: set[str]) -> bool:
        """Move the files in order; False as soon as one is rejected."""
        cds, lds = self._settings.xds / "cds.json", self._settings.xds / "lds.json"
        early, late = self._in_turn(config, announce_late=bool(fresh))
        moves = self._write_endpoints(early)
        # What goes stays until the routes have changed.
        self._clusters |= config.clusters
        moves[_CDS] = self._write(cds, list(self._clusters.values()))
        taken = await self._taken(moves)
        moves = {
            f".rds.{name}": self._write(Path(rds_path(self._settings, name)), [routes])
            for name, routes in config.routes.items()
        }
        moves[_LDS] = self._write(lds, list(config.listeners.values()))
        self._listeners = frozenset(config.listeners)
        begun = self._listening + len(fresh) if moves[_LDS] else 0
        if not await self._taken(moves, begun) or not taken:
            return False
        self._clusters = dict(config.clusters)
        moves = self._write_endpoints(late)
        moves[_CDS] = self._write(cds, list(self._clusters.values()))
        taken = await self._taken(moves)
        self._forget_old(config)
        return taken

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

    def _write_endpoints(self, endpoints: Mapping[str, Xds]) -> dict[str, _Move | None]:
        """Write endpoints; the gateway, which has every cluster, shows whether they are taken."""
        return {
            f"{key}@{GATEWAY_WORKLOAD};": self._write(
                Path(eds_path(self._settings, key)), [assignment]
            )
            for key, assignment in endpoints.items()
        }

    def _write(self, path: Path, resources: list[Xds]) -> _Move | None:
        """Move a file into place, unless it says the same already."""
        if self._written.get(path) == resources:
            return None
        self._version += 1
        version = str(self._version)
        document = {"version_info": version, "resources": resources}
        write_atomically(path, json.dumps(document))
        self._written[path] = resources
        return _Move(path, version)

    async def _taken(self, moves: Mapping[str, _Move | None], begun: int = 0) -> bool:
        """Wait until Envoy took, or rejected, each file that was moved; whether it took all.

        A subscription is named by the end of its statistics' prefix. When all is taken, also
        wait for new clusters to be warm, and for ``begun`` listeners to have begun so far.
        """
        waiting = {name: move for name, move in moves.items() if move is not None}
        if not waiting:
            return True
        deadline = time.monotonic() + ACCEPT_LIMIT_S
        before = self._rejected
        while True:
            stats = await self._envoy.stats(_SUBSCRIPTIONS)
            self._look(stats)
            missing = [n for n, move in waiting.items() if not _has(stats, n, move.version)]
            refused = {name for name in missing if _grew(self._rejected, before, name)}
            # Nobody reads the routes of a refused listener, or the endpoints of a refused cluster.
            owner_refused = _LDS in refused or _CDS in refused
            unread = {name for name in missing if owner_refused and not _ever_read(stats, name)}
            if refused and refused | unread == set(missing):
                for name in refused:
                    del self._written[waiting[name].path]
                return False
            if not missing and not stats.get(_WARMING) and self._listening >= begun:
                return True
            if time.monotonic() > deadline:
                for name in missing:
                    del self._written[waiting[name].path]
                raise TargetError(
                    f"Envoy took no notice of {', '.join(missing) or 'clusters and listeners'} "
                    f"within {ACCEPT_LIMIT_S:g} s",
                    hint=f"its log is {self._envoy.log}",
                )
            await asyncio.sleep(_POLL_S)

    def _look(self, stats: Mapping[str, Any]) -> None:
        """Remember how often updates were rejected, and how many listeners were begun."""
        self._rejected = {
            name: int(value) for name, value in stats.items() if value and name.endswith(_REFUSALS)
        }
        self._listening = sum(int(stats.get(name, 0)) for name in _BEGUN)

    def _forget_old(self, config: MeshConfig) -> None:
        """Remove the files that nothing refers to any more."""
        wanted = {self._settings.xds / "cds.json", self._settings.xds / "lds.json"}
        wanted |= {Path(eds_path(self._settings, key)) for key in config.endpoints}
        wanted |= {Path(rds_path(self._settings, name)) for name in config.routes}
        for path in self._written.keys() - wanted:
            path.unlink(missing_ok=True)
            del self._written[path]


_REFUSALS: Final = (".update_rejected", ".update_failure")
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


def _ever_read(stats: Mapping[str, Any], subscription: str) -> bool:
    return any(
        value and name.endswith(f"{subscription}.version_text") for name, value in stats.items()
    )


def _grew(now: Mapping[str, int], before: Mapping[str, int], subscription: str) -> bool:
    endings = tuple(f"{subscription}{refusal}" for refusal in _REFUSALS)
    return any(count > before.get(name, 0) for name, count in now.items() if name.endswith(endings))
