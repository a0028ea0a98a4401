"""A cluster that is read and never written: what would be changed is kept in memory, and shown.

The very actions that a run plays are played against it, so what a preview shows and what a run does
cannot differ. Reads see what was changed before, as they would in the cluster.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Literal

from runner.chaos.client import ApiRefusalError, Cluster
from runner.chaos.objects import BUDGETS, PODS, Kind, Object
from runner.model.labels import matches

Deed = Literal["create", "replace", "delete", "evict"]
Key = tuple[Kind, str]


@dataclass(slots=True)
class Change:
    """What would become of one object.

    Attributes:
        before: The object as it is; None when there is none.
        after: As it would be; None when it would go.
    """

    kind: Kind
    name: str
    deed: Deed
    before: Object | None
    after: Object | None


@dataclass(slots=True)
class DryCluster:
    """A :class:`runner.chaos.client.Cluster` over another one that it only reads.

    Attributes:
        under: The real one.
        changes: What would be changed, in order, one for each object.
        pods_seen: The pods that were looked at, by name, as they were.
        budgets_seen: The PodDisruptionBudgets that were looked at.
        asked: What was asked for, as ``(verb, kind, subresource)``: the rights that it takes.
    """

    under: Cluster
    changes: dict[Key, Change] = field(default_factory=dict)
    pods_seen: dict[str, Object] = field(default_factory=dict)
    budgets_seen: list[Object] = field(default_factory=list)
    asked: set[tuple[str, Kind, str]] = field(default_factory=set)

    def items(self, kind: Kind, namespace: str | None, selector: str = "") -> list[Object]:
        self.asked.add(("list", kind, ""))
        found = self.under.items(kind, namespace, selector)
        if kind == PODS:
            self.pods_seen |= {_name(pod): pod for pod in found}
        if kind == BUDGETS:
            self.budgets_seen = found
        now = [self._now(kind, obj) for obj in found]
        kept = [obj for obj in now if obj is not None and matches(selector, _labels(obj))]
        names = set(map(_name, found))
        return kept + [
            copy.deepcopy(change.after)
            for (changed, name), change in self.changes.items()
            if changed == kind
            and name not in names
            and change.after is not None
            and matches(selector, _labels(change.after))
        ]

    def read(self, kind: Kind, namespace: str, name: str) -> Object:
        self.asked.add(("get", kind, ""))
        change = self.changes.get((kind, name))
        if change is None:
            return self.under.read(kind, namespace, name)
        if change.after is None:
            raise ApiRefusalError(f"get {kind.subject(name)}", 404, "it would be gone")
        return copy.deepcopy(change.after)

    def create(self, kind: Kind, body: Object) -> Object:
        self.asked.add(("create", kind, ""))
        name = _name(body)
        if any(_name(obj) == name for obj in self._listed(kind, body)):
            raise ApiRefusalError(f"create {kind.subject(name)}", 409, "it exists already")
        after = {"apiVersion": f"{kind.group}/{kind.versions[0]}".lstrip("/"), "kind": kind.name}
        return self._note(kind, "create", None, {**after, **copy.deepcopy(body)})

    def replace(self, kind: Kind, body: Object) -> Object:
        self.asked.add(("update", kind, ""))
        namespace = str(body["metadata"].get("namespace") or "")
        before = self.under.read(kind, namespace, _name(body))
        return self._note(kind, "replace", before, copy.deepcopy(body))

    def delete(self, kind: Kind, body: Object, grace_s: float | None = None) -> None:
        self.asked.add(("delete", kind, ""))
        self._note(kind, "delete", self._before(kind, body), None)

    def evict(self, pod: Object, grace_s: float | None = None) -> None:
        self.asked.add(("create", PODS, "eviction"))
        self._note(PODS, "evict", self._before(PODS, pod), None)

    def allowed(self, verb: str, kind: Kind, namespace: str, subresource: str = "") -> bool:
        return self.under.allowed(verb, kind, namespace, subresource)

    def _before(self, kind: Kind, body: Object) -> Object:
        seen = self.pods_seen.get(_name(body)) if kind == PODS else None
        return seen or copy.deepcopy(body)

    def _listed(self, kind: Kind, body: Object) -> list[Object]:
        namespace = str(body["metadata"].get("namespace") or "")
        asked = set(self.asked)
        found = self.items(kind, namespace)
        self.asked = asked  # A server looks by itself.
        return found

    def _note(self, kind: Kind, deed: Deed, before: Object | None, after: Object | None) -> Object:
        name = _name(after or before or {})
        known = self.changes.get((kind, name))
        if known is not None:
            deed, before = (known.deed if after is not None else deed), known.before
        self.changes[(kind, name)] = Change(kind, name, deed, before, after)
        return copy.deepcopy(after or {})

    def _now(self, kind: Kind, obj: Object) -> Object | None:
        change = self.changes.get((kind, _name(obj)))
        return obj if change is None else copy.deepcopy(change.after)


def _name(obj: Object) -> str:
    return str((obj.get("metadata") or {}).get("name") or "")


def _labels(obj: Object) -> dict[str, str]:
    return (obj.get("metadata") or {}).get("labels") or {}
