"""Objects whose honoured fields are separated from the rest, oldest first. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from runner.targets.sandbox.mesh.fields import Problem, problems_below, prune
from runner.targets.sandbox.mesh.model import Object, ObjectRef, UnsupportedField, ref_of
from runner.targets.sandbox.mesh.schema import SCHEMAS


@dataclass(frozen=True, slots=True)
class Parsed:
    """One object, reduced to what is honoured.

    Attributes:
        spec: The honoured fields; every value has the shape that the schema promises.
        problems: What was left out.
    """

    ref: ObjectRef
    spec: Mapping[str, Any]
    problems: tuple[Problem, ...] = ()

    def incomplete(self, path: str) -> bool:
        """Whether something at or below ``path`` was left out."""
        return problems_below(list(self.problems), path)


def parse(kind: str, objects: Iterable[Object]) -> list[Parsed]:
    """Objects of one kind, oldest first (then by namespace and name, as Istio orders them)."""
    return [_parse(kind, obj) for obj in sorted(objects, key=_age)]


def unsupported_of(items: Iterable[Parsed]) -> list[UnsupportedField]:
    """The fields that were left out, as they are reported."""
    return [
        UnsupportedField(item.ref, problem.path, problem.reason)
        for item in items
        for problem in item.problems
    ]


def _parse(kind: str, obj: Object) -> Parsed:
    ref = ref_of(obj)
    if not ref.kind:
        ref = ref._replace(kind=kind)
    spec, problems = prune(obj.get("spec") or {}, SCHEMAS[kind], "spec")
    return Parsed(ref, spec or {}, tuple(problems))


def _age(obj: Object) -> tuple[str, str, str]:
    meta = obj.get("metadata") or {}
    return (
        str(meta.get("creationTimestamp", "")),
        str(meta.get("namespace", "")),
        str(meta.get("name", "")),
    )
