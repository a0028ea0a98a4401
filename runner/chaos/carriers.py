"""Which objects can carry faults, and how a fault is found on each and taken off it. Pure.

One entry for each kind of object; heal and guardian know nothing else. A kind of fault that changes
another kind of object adds an entry here, and is healed by everybody from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from runner.chaos import fields, labelled, owned, virtualservice
from runner.chaos.annotation import Tag
from runner.chaos.objects import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    ENVOY_FILTERS,
    NETWORK_POLICIES,
    NODES,
    PODS,
    VIRTUAL_SERVICES,
    Kind,
    Object,
)

REPLICAS = ("spec", "replicas")
UNSCHEDULABLE = ("spec", "unschedulable")


class Without(Protocol):
    def __call__(self, obj: Object, /, keys: Iterable[str]) -> Object | None: ...


@dataclass(frozen=True, slots=True)
class Carrier:
    """A kind of object that can carry faults.

    Attributes:
        kind: The kind.
        faults_on: The faults on an object by key, oldest first; None for one without readable tag.
        without: The object without the faults of some keys; None when it goes as a whole. Equal to
            the object when it has none of them.
        selector: Label selector of those that can have one at all; empty for all of them.
        alias: What an object without readable tag calls the fault of a key.
        needs_tag: Whether nobody can undo a fault on it without its tag.
        rollback_elsewhere: Whether an object only marks a fault that has a way back of its own,
            kept in the run's folder: it goes when that has been played, and not before.
    """

    kind: Kind
    faults_on: Callable[[Object], dict[str, Tag | None]]
    without: Without
    selector: str = ""
    alias: Callable[[str], str] = str
    needs_tag: bool = False
    rollback_elsewhere: bool = False

    @property
    def owned(self) -> bool:
        """Whether the objects are ours as a whole, and deleted rather than changed back."""
        return self.without is owned.without


CARRIERS: tuple[Carrier, ...] = (
    Carrier(VIRTUAL_SERVICES, virtualservice.faults_on, virtualservice.remove_faults),
    # Before the pods that it selects: the label alone harms nobody. Without a selector, so that
    # one whose label is lost is found by its name.
    Carrier(ENVOY_FILTERS, owned.faults_on, owned.without, alias=owned.object_name),
    Carrier(NETWORK_POLICIES, owned.faults_on, owned.without, alias=owned.object_name),
    Carrier(DEPLOYMENTS, fields.faults_on, partial(fields.without, path=REPLICAS), needs_tag=True),
    Carrier(NODES, fields.faults_on, partial(fields.without, path=UNSCHEDULABLE), needs_tag=True),
    Carrier(PODS, labelled.faults_on, labelled.without, alias=labelled.label_of),
    Carrier(
        CONFIG_MAPS,
        owned.faults_on,
        owned.without,
        owned.OWNED_SELECTOR,  # There may be many that are large.
        owned.object_name,
        rollback_elsewhere=True,
    ),
)
