"""Telling what is not honoured: on the objects as Events, and in a file for ``sandbox status``."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Mapping
from typing import Any, Final

import aiohttp

from runner.errors import TargetError
from runner.model.faultmark import all_marks
from runner.targets.sandbox.apiclient import ApiClient
from runner.targets.sandbox.mesh.model import Object, ObjectRef, UnsupportedField
from runner.targets.sandbox.mesh.trials import Rejected
from runner.targets.sandbox.settings import SandboxSettings
from runner.targets.sandbox.state import MESH_STATUS_FILE, write_atomically

log = logging.getLogger(__name__)

NOT_HONOURED: Final = "FieldNotHonoured"
REJECTED: Final = "RejectedByEnvoy"
SETTLED_S: Final = 0.5
"""How long a field must have been without effect before an Event says so: objects that refer to
each other are created one after the other."""
_EVERY_S: Final = 0.2
_LONGEST_MESSAGE: Final = 1024


class MeshReporter:
    """Keeps the status file right at once, and the Events right a little later."""

    def __init__(self, client: ApiClient, settings: SandboxSettings) -> None:
        self._client = client
        self._file = settings.home / MESH_STATUS_FILE
        self._since: dict[UnsupportedField, float] = {}
        self._rejected: dict[tuple[ObjectRef, str], Object] = {}
        self._objects: Mapping[ObjectRef, Object] = {}
        self._told: set[tuple[str, ObjectRef, str]] = set()
        self._document: dict[str, Any] = {}

    def update(
        self,
        unsupported: tuple[UnsupportedField, ...],
        rejected: list[Rejected],
        objects: Mapping[ObjectRef, Object],
    ) -> None:
        """Take note of the present state; ``objects`` are those that it is about."""
        now = time.monotonic()
        self._since = {field: self._since.get(field, now) for field in unsupported}
        self._objects = objects
        self._rejected = {
            (item.ref, item.reason): objects[item.ref]
            for item in rejected
            if item.ref is not None and item.ref in objects
        }
        marks = all_marks({**obj, "kind": ref.kind} for ref, obj in objects.items())
        document = {
            "faults": [mark._asdict() for mark in marks],
            "rejected": [{**_named(item.ref), "reason": item.reason} for item in rejected],
            "unsupported": [
                {**_named(item.ref), "path": item.path, "reason": item.reason}
                for item in unsupported
            ],
        }
        if document != self._document:
            write_atomically(self._file, json.dumps(document, indent=1))
            self._document = document

    async def run(self) -> None:
        """Write Events until cancelled; an API server that does not answer only delays them."""
        while True:
            await asyncio.sleep(_EVERY_S)
            try:
                await self._tell_all()
            except (TargetError, aiohttp.ClientError, TimeoutError, OSError) as error:
                log.info("an event could not be written: %r", error)

    async def _tell_all(self) -> None:
        for (ref, reason), obj in list(self._rejected.items()):
            await self._tell(REJECTED, ref, obj, f"not in force, Envoy rejects it: {reason}")
        settled = time.monotonic() - SETTLED_S
        fields: dict[ObjectRef, list[str]] = {}
        for field, since in self._since.items():
            if since <= settled:
                fields.setdefault(field.ref, []).append(f"{field.path}: {field.reason}")
        for ref, lines in fields.items():
            if ref in self._objects:
                await self._tell(NOT_HONOURED, ref, self._objects[ref], "; ".join(lines))

    async def _tell(self, reason: str, ref: ObjectRef, obj: Object, message: str) -> None:
        """Write an Event, once per generation of the object and message."""
        if len(message) > _LONGEST_MESSAGE:
            message = message[: _LONGEST_MESSAGE - 1] + "…"
        if (reason, ref, message) in self._told:
            return
        await self._client.event(dict(obj), reason, message, kind="Warning")
        self._told.add((reason, ref, message))


def _named(ref: ObjectRef | None) -> dict[str, str]:
    if ref is None:
        return {"kind": "", "namespace": "", "name": ""}
    return {"kind": ref.kind, "namespace": ref.namespace, "name": ref.name}
