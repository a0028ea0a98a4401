"""What the child of a fault wrote down: each thing that it did or saw, and how it ended."""

from __future__ import annotations

from typing import Literal

from runner.model.shape import Items, Model

EffectKind = Literal[
    "injected",
    "verified",
    "seen",
    "removed",
    "gone",
    "killed",
    "evicted",
    "replaced",
    "ready",
    "skipped",
]


class Effect(Model):
    """A line that a fault's child wrote about what it did or saw.

    Attributes:
        what: ``injected`` (an object was changed), ``verified`` (read back), ``seen`` (somebody
            else shows the consequence, such as a Deployment's status), ``removed`` (changed back),
            ``gone`` (read back), ``killed`` and ``evicted`` (pods), ``replaced`` (a new pod),
            ``ready`` (as many as before) or ``skipped`` (left out, with the reason).
        subject: The object concerned, such as ``virtualservice/payment-api`` or ``pod/x``.
    """

    wall_s: float
    what: EffectKind
    subject: str
    detail: str = ""


class FaultRecord(Model):
    """What became of one planned fault.

    Attributes:
        journal_status: Chaos Toolkit's own word; empty when there is no journal.
        failed_activities: Names of activities that did not succeed, with the reason.
        effects: What the fault's actions wrote down.
    """

    id: str
    journal_status: str = ""
    failed_activities: Items[str] = ()
    effects: Items[Effect] = ()
