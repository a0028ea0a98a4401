"""Pods that a fault has chosen: each gets a label that the fault's own object selects. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from runner.chaos.annotation import ANNOTATION, Tag, read_tags, write_tags
from runner.chaos.objects import Object
from runner.errors import FaultError

LABEL_PREFIX: Final = "seatrial.dev/hit-"
VALUE: Final = "true"


def label_of(key: str) -> str:
    """The label that stands for the fault ``key``; short enough for any run and fault."""
    return LABEL_PREFIX + hashlib.sha256(key.encode()).hexdigest()[:16]


def mark(pod: Object, tag: Tag) -> Object:
    """``pod`` with the label and the tag of a fault."""
    label = label_of(tag.key)
    tagged = write_tags(pod, {**read_tags(pod), tag.key: replace(tag, state={"label": label})})
    return _labelled(tagged, {**_labels(pod), label: VALUE})


def without(pod: Object, keys: Iterable[str]) -> Object:
    """``pod`` without the labels and tags of these faults."""
    gone = set(keys)
    labels = _labels(pod)
    for key in gone:
        labels.pop(label_of(key), None)
    try:
        kept = {key: tag for key, tag in read_tags(pod).items() if key not in gone}
    except FaultError:
        kept = {}
    if not kept:  # Also those of a tag that cannot be read.
        labels = {n: v for n, v in labels.items() if not n.startswith(LABEL_PREFIX)}
    return write_tags(_labelled(pod, labels), kept)


def faults_on(pod: Object) -> dict[str, Tag | None]:
    """The faults that chose ``pod``; a label without a readable tag shows as the annotation."""
    try:
        found: dict[str, Tag | None] = dict(read_tags(pod))
    except FaultError:
        found = {ANNOTATION: None}
    known = {label_of(key) for key in found}
    if any(name.startswith(LABEL_PREFIX) and name not in known for name in _labels(pod)):
        found.setdefault(ANNOTATION, None)
    return found


def _labels(pod: Object) -> dict[str, str]:
    return dict((pod.get("metadata") or {}).get("labels") or {})


def _labelled(pod: Object, labels: dict[str, str]) -> Object:
    metadata = {key: value for key, value in pod["metadata"].items() if key != "labels"}
    if labels:
        metadata["labels"] = labels
    return {**pod, "metadata": metadata}
