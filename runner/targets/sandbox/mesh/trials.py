"""Which version of each Istio object is in force, when Envoy does not take every one.

Envoy keeps its last good configuration when it rejects an update, and would go on without any
later change for as long as the bad object is there. So an object that makes Envoy reject an
update is set aside: its last good version (or nothing) stays in force, everything else moves on.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from runner.targets.sandbox.mesh.model import MeshConfig, MeshInput, Object, ObjectRef, ref_of
from runner.targets.sandbox.mesh.translate import translate
from runner.targets.sandbox.mesh.xds import XdsFolder
from runner.targets.sandbox.settings import SandboxSettings

log = logging.getLogger(__name__)

ISTIO_KINDS = ("gateways", "destination_rules", "virtual_services", "envoy_filters")
"""The fields of :class:`MeshInput` whose objects Envoy can reject. What others refer to stands
first, so that an object is tried when all that it needs to have an effect is there."""


class Key(NamedTuple):
    """One object: the field of :class:`MeshInput`, its namespace and name."""

    kind: str
    namespace: str
    name: str


class Rejected(NamedTuple):
    """One rejected update: whose (None when no object of Istio is to blame), and why."""

    ref: ObjectRef | None
    reason: str


class Trials:
    """Brings objects into force, and remembers which of them Envoy did not take."""

    def __init__(self, folder: XdsFolder, settings: SandboxSettings) -> None:
        self._folder = folder
        self._settings = settings
        self._good: dict[Key, Object] = {}
        self._bad: dict[Key, tuple[Object, str]] = {}
        self._trouble: tuple[str, ...] = ()
        self._inbound_pods: frozenset[str] = frozenset()

    @property
    def rejected(self) -> list[Rejected]:
        """What is not in force, with Envoy's reason."""
        return [
            *(Rejected(ref_of(obj), reason) for obj, reason in self._bad.values()),
            *(Rejected(None, reason) for reason in self._trouble),
        ]

    @property
    def in_trouble(self) -> bool:
        """Whether Envoy rejects something that no object is to blame for (a taken port, say)."""
        return bool(self._trouble)

    async def bring(self, wanted: MeshInput) -> MeshConfig:
        """Put as much of ``wanted`` into force as Envoy takes, and return what is in force.

        Raises:
            TargetError: When Envoy does not answer.
        """
        objects = _istio_objects(wanted)
        # A changed object is tried again.
        self._bad = {key: entry for key, entry in self._bad.items() if objects.get(key) == entry[0]}
        chosen = {key: obj for key, obj in objects.items() if key not in self._bad}
        chosen |= {key: self._good[key] for key in self._bad if key in self._good}
        config, reasons = await self._apply(wanted, chosen)
        if set(reasons) <= set(self._trouble):
            # Nothing is wrong, or nothing new that an object could be blamed for.
            self._good, self._trouble = chosen, reasons
            return config
        suspects = [key for key, obj in chosen.items() if self._good.get(key) != obj]
        return await self._one_by_one(wanted, chosen, suspects)

    async def _one_by_one(
        self, wanted: MeshInput, chosen: dict[Key, Object], suspects: list[Key]
    ) -> MeshConfig:
        """Go back to what was good, then try each change alone, by kind and age."""
        base = {key: obj for key, obj in chosen.items() if key not in suspects}
        base |= {key: self._good[key] for key in suspects if key in self._good}
        config, self._trouble = await self._apply(wanted, base)
        for key in sorted(suspects, key=lambda key: _turn(key, chosen[key])):
            attempt = {**base, key: chosen[key]}
            tried, reasons = await self._apply(wanted, attempt)
            reasons = tuple(reason for reason in reasons if reason not in self._trouble)
            if not reasons:
                base, config = attempt, tried
                continue
            log.warning("Envoy rejects %s: %s", ref_of(chosen[key]), "; ".join(reasons))
            self._bad[key] = (chosen[key], "; ".join(reasons))
            config, self._trouble = await self._apply(wanted, base)
        self._good = base
        return config

    async def _apply(
        self, wanted: MeshInput, objects: dict[Key, Object]
    ) -> tuple[MeshConfig, tuple[str, ...]]:
        by_kind = {
            kind: tuple(obj for key, obj in objects.items() if key.kind == kind)
            for kind in ISTIO_KINDS
        }
        given = replace(wanted, **by_kind, inbound_pods=self._inbound_pods)
        config = translate(given, self._settings)
        outcome = await self._folder.apply(config)
        if not outcome.rejected:
            self._inbound_pods = config.inbound_pods
        return config, outcome.rejected


def _istio_objects(given: MeshInput) -> dict[Key, Object]:
    return {_key(kind, obj): obj for kind in ISTIO_KINDS for obj in _objects_of(given, kind)}


def _objects_of(given: MeshInput, kind: str) -> Iterable[Object]:
    objects: tuple[Object, ...] = getattr(given, kind)
    return objects


def _key(kind: str, obj: Object) -> Key:
    meta = obj.get("metadata") or {}
    return Key(kind, str(meta.get("namespace", "")), str(meta.get("name", "")))


def _turn(key: Key, obj: Object) -> tuple[int, str]:
    created = str((obj.get("metadata") or {}).get("creationTimestamp", ""))
    return ISTIO_KINDS.index(key.kind), created
