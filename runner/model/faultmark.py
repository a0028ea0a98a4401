"""How a fault marks the object that carries it, and how to read whose it is. Pure.

The marks are written by ``runner.chaos`` and read by whoever must know that they are there: the
preflight of another run, ``doctor``, ``sandbox status``. Nothing here changes an object.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

ANNOTATION: Final = "seatrial.dev/faults"
"""JSON of ``{key of the fault: {run, fault, owner, expires_at, …}}``."""
OWNED_LABEL: Final = "app.kubernetes.io/managed-by"
OWNED_VALUE: Final = "seatrial-fault"
OWNED_SELECTOR: Final = f"{OWNED_LABEL}={OWNED_VALUE}"
"""Label of objects that are a fault as a whole, and are named for it."""
PREFIX: Final = "seatrial-"
"""Route copies are named ``seatrial-<run id in lower case>-<fault id>-<n>``."""

EXPIRY_MARGIN_S: Final = 30.0
"""A fault counts as expired so long after its time: the clocks of two machines differ."""
HIT_PREFIX: Final = "seatrial.dev/hit-"
"""Start of the label of a pod that a fault has chosen."""

_COPY: Final = re.compile(re.escape(PREFIX) + r"(.+)-\d+")
_RUN: Final = re.compile(r"(\d{4}-\d\d-\d\d)t(\d{6})z-([0-9a-f]{4})-(.+)", re.IGNORECASE)


class FaultMark(NamedTuple):
    """A fault on an object.

    Attributes:
        subject: The object, such as ``virtualservice/payment-api``.
        run: Id of the run; empty when the mark does not tell.
        fault: Id of the fault in its run; the mark itself when that cannot be read.
        expires_at: When its time is over (UTC, ISO 8601); empty when the mark does not tell.
    """

    subject: str
    run: str
    fault: str
    expires_at: str = ""

    @property
    def sentence(self) -> str:
        """``virtualservice/x still carries the fault 01-http-abort of run …``."""
        of = f"of run {self.run}" if self.run else "of an unknown run"
        return f"{self.subject} still carries the fault {self.fault} {of}"

    def heal_command(self, where: str = "") -> str:
        """The command that removes it; ``where`` are the flags that name the target."""
        return " ".join(filter(None, ("seatrial heal", self.run or "--all", where)))


def marks_on(obj: Mapping[str, Any]) -> tuple[FaultMark, ...]:
    """The faults that an object carries, or is: by its annotation, else by names that we give.

    Those are the names of routes, of objects that are a fault as a whole, and of labels of pods.
    """
    metadata = obj.get("metadata") or {}
    name = str(metadata.get("name", ""))
    subject = f"{str(obj.get('kind') or 'VirtualService').lower()}/{name}"
    found: dict[str, FaultMark] = {}
    text = (metadata.get("annotations") or {}).get(ANNOTATION)
    for tag in () if text is None else _tags(text):
        run, fault = str(tag.get("run", "")), str(tag.get("fault", ""))
        mark = FaultMark(subject, run, fault or ANNOTATION, str(tag.get("expires_at", "")))
        found[f"{run}-{fault}".lower()] = mark
    told = any(mark.run for mark in found.values())
    for route in (obj.get("spec") or {}).get("http") or ():
        named = _COPY.fullmatch(str(route.get("name", "")))
        if named is not None:
            found.setdefault(named[1].lower(), _of_name(subject, named[1]))
    labels = metadata.get("labels") or {}
    is_one = names_a_run(name) or (
        name.startswith(PREFIX) and labels.get(OWNED_LABEL) == OWNED_VALUE
    )
    if is_one and not told:
        bare = name.removeprefix(PREFIX)
        found.setdefault(bare.lower(), _of_name(subject, bare))
    for label in () if told else labels:
        if label.startswith(HIT_PREFIX):
            found.setdefault(label, FaultMark(subject, "", label))
    if len(found) > 1:
        found.pop("-", None)  # A damaged annotation, of which the names tell more.
    return tuple(found.values())


def names_a_run(name: str) -> bool:
    """Whether ``name`` is ``seatrial-<run id>-<fault id>``, which nobody else calls anything."""
    return name.startswith(PREFIX) and _RUN.fullmatch(name.removeprefix(PREFIX)) is not None


def heal_command(run: str | None, kind: str, name: str, flags: str = "") -> str:
    """The command that finishes the work of healing ``run`` (of every run: None) on a target.

    Args:
        run: Id of the run.
        kind: ``sandbox`` or ``cluster``.
        name: Name of the target.
        flags: What names it on a command line, where its name does not.
    """
    of_name = f"--target {name}" if kind == "cluster" else f"--sandbox-name {name}"
    default = (kind, name) == ("sandbox", "default")
    where = flags or ("" if default else of_name)
    return " ".join(filter(None, ("seatrial heal", run or "--all", where)))


def all_marks(objects: Iterable[Mapping[str, Any]]) -> tuple[FaultMark, ...]:
    """The faults on all of ``objects``, in their order."""
    return tuple(mark for obj in objects for mark in marks_on(obj))


def _tags(text: str) -> list[Mapping[str, Any]]:
    """The entries of the annotation; an empty one for a text that cannot be read."""
    try:
        entries = list(json.loads(text).values())
    except (ValueError, AttributeError, RecursionError):
        return [{}]
    return [entry if isinstance(entry, dict) else {} for entry in entries]


def _of_name(subject: str, name: str) -> FaultMark:
    parts = _RUN.fullmatch(name)
    if parts is None:
        return FaultMark(subject, "", name)
    day, time, suffix, fault = parts.groups()
    return FaultMark(subject, f"{day}T{time}Z-{suffix.lower()}", fault)
