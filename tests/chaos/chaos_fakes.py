"""A cluster in memory with what is hard to order from a real one: conflicts, refusals, rivals."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from runner.chaos.client import ApiRefusalError

Object = dict[str, Any]


@dataclass
class FakeCluster:
    """Implements ``runner.chaos.client.Cluster``.

    Attributes:
        vss: VirtualServices by name; all in one namespace.
        refuse: Statuses that the next calls answer with, by method; a status 0 for no answer.
        meanwhile: Called before each PUT, as a rival who is faster.
        calls: Methods that were called.
    """

    vss: dict[str, Object] = field(default_factory=dict)
    pod_lists: list[list[Object]] = field(default_factory=list)
    services: dict[str, Object] = field(default_factory=dict)
    refuse: dict[str, list[int]] = field(default_factory=dict)
    meanwhile: Callable[[FakeCluster], None] | None = None
    calls: list[str] = field(default_factory=list)
    deleted: list[tuple[str, str, float]] = field(default_factory=list)

    def put(self, *objects: Object) -> FakeCluster:
        for obj in objects:
            version = int(self.vss.get(obj["metadata"]["name"], obj)["metadata"].get("rv", 0)) + 1
            stored = copy.deepcopy(obj)
            stored["metadata"]["resourceVersion"] = str(version)
            stored["metadata"]["rv"] = version
            self.vss[obj["metadata"]["name"]] = stored
        return self

    def virtual_services(self, namespace: str | None) -> list[Object]:
        self._answer("list" if namespace else "list-everywhere")
        return copy.deepcopy(list(self.vss.values()))

    def virtual_service(self, namespace: str, name: str) -> Object:
        self._answer("get")
        if name not in self.vss:
            raise ApiRefusalError(f"get {name}", 404, "not found")
        return copy.deepcopy(self.vss[name])

    def replace_virtual_service(self, body: Object) -> Object:
        if self.meanwhile is not None:
            self.meanwhile(self)
        self._answer("put")
        name = body["metadata"]["name"]
        if name not in self.vss:
            raise ApiRefusalError(f"put {name}", 404, "not found")
        if self.vss[name]["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
            raise ApiRefusalError(f"put {name}", 409, "the object has been modified")
        self.put(body)
        return copy.deepcopy(self.vss[name])

    def service(self, namespace: str, name: str) -> Object:
        self._answer("service")
        return copy.deepcopy(self.services[name])

    def pods(self, namespace: str, selector: str) -> list[Object]:
        self._answer("pods")
        return self.pod_lists.pop(0) if len(self.pod_lists) > 1 else self.pod_lists[0]

    def disruption_budgets(self, namespace: str) -> list[Object]:
        self._answer("budgets")
        return []

    def delete_pod(self, namespace: str, name: str, uid: str, grace_s: float) -> None:
        self._answer("delete")
        self.deleted.append((name, uid, grace_s))

    def spec(self, name: str) -> Object:
        """What is stored, without what the server adds."""
        stored = copy.deepcopy(self.vss[name])
        stored["metadata"].pop("resourceVersion")
        stored["metadata"].pop("rv")
        return stored

    def _answer(self, method: str) -> None:
        self.calls.append(method)
        statuses = self.refuse.get(method) or []
        if statuses:
            status = statuses.pop(0)
            if status != 200:
                raise ApiRefusalError(method, status, "no answer" if status == 0 else "refused")
