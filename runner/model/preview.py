"""What a run would do to a target as it is now: pods by name, objects before and after. Data only.

A preview is true for the moment in which it was made; pods come and go.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from runner.model.shape import Items, Model


class PodPreview(Model):
    """A pod that was looked at.

    Attributes:
        chosen: Whether it would be killed, evicted or hit.
    """

    name: str
    uid: str
    node: str
    ready: bool
    chosen: bool = False


class ObjectPreview(Model):
    """An object that would be made, changed or deleted.

    Attributes:
        subject: Such as ``virtualservice/payment-api``.
        diff: Unified diff of its YAML, without what the server keeps for itself.
    """

    subject: str
    deed: Literal["create", "replace", "delete", "evict"]
    diff: str = ""


class FaultPreview(Model):
    """What one fault would do if it began now.

    Attributes:
        problem: Why it would not be injected; empty when it would.
        moments_s: Offsets from the start of the load at which pods are killed.
        notes: What cannot be shown.
    """

    id: str
    problem: str = ""
    seed: int = 0
    pods: Items[PodPreview] = ()
    changes: Items[ObjectPreview] = ()
    moments_s: Items[float] = ()
    notes: Items[str] = ()


class Preview(Model):
    """What a run would do to a target.

    Attributes:
        target: The target's identity; empty when it is not up.
        refusals: Why a run would not begin now.
        notes: What a run would warn of.
        role: YAML of the Role that would grant what is missing; empty when nothing is.
    """

    target: str
    namespace: str = ""
    refusals: Items[str] = ()
    notes: Items[str] = ()
    faults: Items[FaultPreview] = ()
    role: str = ""
    why_not: str = Field(default="", description="Why nothing is known; empty when it is.")
