"""A cluster in memory with what is hard to order from a real one: conflicts, refusals, rivals."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field

from runner.chaos.client import ApiRefusalError
from runner.chaos.objects import PODS, VIRTUAL_SERVICES, Kind, Object


@dataclass
class FakeCluster:
    """Implements ``runner.chaos.client.Cluster``.

    Attributes:
        objects: What there is, by plural and name; all in one namespace.
        pod_lists: Answers to lists of pods, one after the other; the last one stays.
        refuse: Statuses that the next calls answer with, by method (``items``, ``read``,
            ``create``, ``replace``, ``delete``, ``evict``) or by method and plural
            (``items pods``); a status 0 for no answer.
        meanwhile: Called before each PUT and DELETE, as a rival who is faster.
        calls: Methods that were called, with the plural.
    """

    objects: dict[str, dict[str, Object]] = field(default_factory=dict)
    pod_lists: list[list[Object]] = field(default_factory=list)
    refuse: dict[str, list[int]] = field(default_factory=dict)
    meanwhile: Callable[[FakeCluster], None] | None = None
    calls: list[str] = field(default_factory=list)
    deleted: list[tuple[str, str, float | None]] = field(default_factory=list)
    evicted: list[tuple[str, str, float | None]] = field(default_factory=list)
    forbidden: set[tuple[str, str]] = field(default_factory=set)
    number: int = 0

    def put(self, *objects: Object, kind: Kind = VIRTUAL_SERVICES) -> FakeCluster:
        for obj in objects:
            self.number += 1
            stored = copy.deepcopy(obj)
            stored["metadata"]["resourceVersion"] = str(self.number)
            self._of(kind)[obj["metadata"]["name"]] = stored
        return self

    def items(self, kind: Kind, namespace: str | None, selector: str = "") -> list[Object]:
        self._answer("items" if namespace or not kind.namespaced else "items-everywhere", kind)
        if kind is PODS and self.pod_lists:
            return self.pod_lists.pop(0) if len(self.pod_lists) > 1 else self.pod_lists[0]
        wanted = dict(part.split("=") for part in selector.split(",") if part)
        return [
            {"kind": kind.name, **copy.deepcopy(obj)}
            for obj in self._of(kind).values()
            if wanted.items() <= (obj["metadata"].get("labels") or {}).items()
        ]

    def read(self, kind: Kind, namespace: str, name: str) -> Object:
        self._answer("read", kind)
        if name not in self._of(kind):
            raise ApiRefusalError(f"get {name}", 404, "not found")
        return {"kind": kind.name, **copy.deepcopy(self._of(kind)[name])}

    def create(self, kind: Kind, body: Object) -> Object:
        self._answer("create", kind)
        if body["metadata"]["name"] in self._of(kind):
            raise ApiRefusalError(f"create {body['metadata']['name']}", 409, "it exists")
        self.put(body, kind=kind)
        return copy.deepcopy(self._of(kind)[body["metadata"]["name"]])

    def replace(self, kind: Kind, body: Object) -> Object:
        if self.meanwhile is not None:
            self.meanwhile(self)
        self._answer("replace", kind)
        name = body["metadata"]["name"]
        stored = self._of(kind).get(name)
        if stored is None:
            raise ApiRefusalError(f"put {name}", 404, "not found")
        if stored["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
            raise ApiRefusalError(f"put {name}", 409, "the object has been modified")
        self.put(body, kind=kind)
        return copy.deepcopy(self._of(kind)[name])

    def delete(self, kind: Kind, body: Object, grace_s: float | None = None) -> None:
        if self.meanwhile is not None:
            self.meanwhile(self)
        self._answer("delete", kind)
        name, uid = body["metadata"]["name"], body["metadata"].get("uid", "")
        self.deleted.append((name, uid, grace_s))
        stored = self._of(kind).get(name)
        if stored is not None and stored["metadata"].get("uid", uid) != uid:
            raise ApiRefusalError(f"delete {name}", 409, "the UID does not match")
        if stored is None and not (kind is PODS and self.pod_lists):
            raise ApiRefusalError(f"delete {name}", 404, "not found")
        self._of(kind).pop(name, None)

    def evict(self, pod: Object, grace_s: float | None = None) -> None:
        self._answer("evict", PODS)
        name = pod["metadata"]["name"]
        self.evicted.append((name, pod["metadata"].get("uid", ""), grace_s))
        self._of(PODS).pop(name, None)

    def allowed(self, verb: str, kind: Kind, namespace: str, subresource: str = "") -> bool:
        self._answer("allowed", kind)
        plural = f"{kind.plural}/{subresource}" if subresource else kind.plural
        return (verb, plural) not in self.forbidden

    def spec(self, name: str, kind: Kind = VIRTUAL_SERVICES) -> Object:
        """What is stored, without what the server adds."""
        stored = copy.deepcopy(self._of(kind)[name])
        stored["metadata"].pop("resourceVersion")
        return stored

    def _of(self, kind: Kind) -> dict[str, Object]:
        return self.objects.setdefault(kind.plural, {})

    def _answer(self, method: str, kind: Kind) -> None:
        self.calls.append(f"{method} {kind.plural}")
        for key in (f"{method} {kind.plural}", method):
            statuses = self.refuse.get(key) or []
            if statuses:
                status = statuses.pop(0)
                if status != 200:
                    raise ApiRefusalError(method, status, "no answer" if status == 0 else "refused")
                return
