"""Pods that a fault has chosen: each gets a label that the fault's own object selects. Pure.

A label that no tag tells of (any more) goes by its own name; whose it is can be told by whoever
knows the fault.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from runner.chaos.annotation import ANNOTATION, Tag, read_tags, write_tags
from runner.chaos.objects import Object
from runner.errors import FaultError
from runner.model import faultmark

LABEL_PREFIX: Final = faultmark.HIT_PREFIX
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
    names = gone | {label_of(key) for key in gone}
    labels = {name: value for name, value in _labels(pod).items() if not _is_one(name, names)}
    try:
        kept = {key: tag for key, tag in read_tags(pod).items() if key not in gone}
    except FaultError:
        # The damaged annotation belongs to nobody once no label is left.
        if any(name.startswith(LABEL_PREFIX) for name in labels):
            return _labelled(pod, labels)
        kept = {}
    return write_tags(_labelled(pod, labels), kept)


def _is_one(name: str, names: set[str]) -> bool:
    return name.startswith(LABEL_PREFIX) and name in names


def faults_on(pod: Object) -> dict[str, Tag | None]:
    """The faults that chose ``pod``; a label without a readable tag, by its own name.

    A damaged annotation without any label of ours shows as its own name.
    """
    try:
        found: dict[str, Tag | None] = dict(read_tags(pod))
        damaged = False
    except FaultError:
        found, damaged = {}, True
    known = {label_of(key) for key in found}
    labels = [name for name in _labels(pod) if name.startswith(LABEL_PREFIX)]
    found.update({name: None for name in labels if name not in known})
    return {ANNOTATION: None} if damaged and not found else found


def _labels(pod: Object) -> dict[str, str]:
    return dict((pod.get("metadata") or {}).get("labels") or {})


def _labelled(pod: Object, labels: dict[str, str]) -> Object:
    if labels == _labels(pod):
        return pod
    metadata = {key: value for key, value in pod["metadata"].items() if key != "labels"}
    if labels:
        metadata["labels"] = labels
    return {**pod, "metadata": metadata}
