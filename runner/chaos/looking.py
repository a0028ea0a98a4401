"""Looking for faults on all kinds of objects that can carry one, also on a bad day. Reading only.

A kind of object that cannot be listed for the moment is tried again while there is time, after the
others, so that one that hangs does not keep us from seeing the rest. What has not been seen in the
end is said, kind by kind: it is never taken for health.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from runner.chaos.annotation import ANNOTATION, Tag, annotations_of, fault_key
from runner.chaos.carriers import CARRIERS, Carrier
from runner.chaos.client import ApiRefusalError, Cluster
from runner.chaos.objects import Object
from runner.model.faultmark import EXPIRY_MARGIN_S, PREFIX, FaultMark, marks_on

log = logging.getLogger(__name__)

ROUND_PAUSE_S = 0.2
MOST_SILENCES = 2
"""So many requests without any answer, one after the other, end a round of looks."""


FAULTS_START = "seatrial"
"""All that we write into an object begins with it."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What is to be healed.

    Attributes:
        namespace: Where to look; everywhere (as far as allowed) when ``everywhere``.
        run: Only faults of this run, unless empty.
        fault: Only this fault of the run, unless empty.
        expired: Only faults whose time is over. Copies without a readable tag count as such:
            nobody can tell how long they should stay.
        everywhere: Look in all namespaces.
        margin_s: With ``expired``: so many seconds must have passed since.
        expected: Subjects (``virtualservice/x``) that are known to have been changed; that they
            may not be looked at is then no reason to believe that they are well.
    """

    namespace: str
    run: str = ""
    fault: str = ""
    expired: bool = False
    everywhere: bool = False
    margin_s: float = EXPIRY_MARGIN_S
    expected: frozenset[str] = frozenset()

    def keys(
        self, carrier: Carrier, obj: Object, now_s: float, known: Iterable[str] = ()
    ) -> set[str]:
        """Keys of the faults on ``obj`` that are in scope at Unix time ``now_s``.

        Args:
            carrier: How faults are found on it.
            obj: The object.
            now_s: Now.
            known: Keys in scope that were found on other objects.
        """
        found = carrier.faults_on(obj)
        if self.expired:
            now_s -= self.margin_s
            found = {key: tag for key, tag in found.items() if tag is None or tag.expired(now_s)}
        if not self.run:
            return set(found)
        names = {carrier.alias(key) for key in known}
        names |= {carrier.alias(fault_key(self.run, self.fault))} if self.fault else set()
        return {
            key for key, tag in found.items() if self._means(carrier, obj, key, tag, names=names)
        }

    def _means(
        self, carrier: Carrier, obj: Object, key: str, tag: Tag | None, *, names: set[str]
    ) -> bool:
        if tag is not None:
            same = tag.run.lower() == self.run.lower()
            return same and (not self.fault or key == fault_key(self.run, self.fault))
        if key == ANNOTATION:  # Damaged. Does it look like ours? Elsewhere, names tell enough.
            text = annotations_of(obj).get(ANNOTATION, "").lower()
            known = self.run.lower() in text or _subject(obj) in self.expected
            return carrier.needs_tag and known
        return key in names or (not self.fault and key.startswith(fault_key(self.run, "")))


Found = tuple[Carrier, Object, set[str]]


@dataclass(slots=True)
class Look:
    """What a look has shown.

    Attributes:
        found: The objects that carry something in scope, with the keys of what they carry.
        others: Faults that are there and not in scope, each a sentence.
        notes: What we may not look at, each a sentence.
        unseen: What could not be looked at, such as ``virtualservices in x``, with the reason.
        looked_at: Number of objects.
    """

    found: list[Found] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unseen: dict[str, str] = field(default_factory=dict)
    looked_at: int = 0


@dataclass(slots=True)
class Looker:
    """Looks through a cluster for what is in scope, as often as asked.

    Attributes:
        known: Keys in scope that any look has found.
    """

    cluster: Cluster
    scope: Scope
    sleep: Callable[[float], None]
    known: set[str] = field(default_factory=set)

    def look(self, until_s: float) -> Look:
        """Everything in scope, as far as it can be seen until ``until_s`` of the monotonic clock.

        Every kind of object is asked for at least once, unless nobody answers at all.

        Raises:
            ApiRefusalError: When the API server shows us nothing at all, for whatever reason.
        """
        look = Look()
        refused: list[ApiRefusalError] = []
        pending: dict[Carrier, ApiRefusalError | None] = dict.fromkeys(CARRIERS)
        while True:
            self._round(look, pending, refused)
            again = [e for e in pending.values() if e is None or e.transient]
            if not again or time.monotonic() + ROUND_PAUSE_S > until_s:
                break
            self.sleep(ROUND_PAUSE_S)
        errors = [error for error in pending.values() if error is not None]
        if len(refused) + len(pending) == len(CARRIERS):
            raise (errors or refused)[0]
        for carrier, error in pending.items():
            why = (error or errors[-1]).message
            look.unseen[self._which(carrier)] = why
        look.notes = list(dict.fromkeys(look.notes))
        return look

    def _which(self, carrier: Carrier) -> str:
        """The objects of a kind, in words, and which of them must be looked at."""
        kind, scope = carrier.kind, self.scope
        where = "" if not kind.namespaced else f" in {scope.namespace}"
        where = " everywhere" if kind.namespaced and scope.everywhere else where
        changed = sorted(each for each in scope.expected if each.startswith(kind.subject("")))
        known = f" ({', '.join(changed)} was changed)" if changed else ""
        return f"{kind.plural}{where}{known}"

    def _round(
        self,
        look: Look,
        pending: dict[Carrier, ApiRefusalError | None],
        refused: list[ApiRefusalError],
    ) -> None:
        """Ask once for each kind that is pending."""
        silences = 0
        for carrier, before in list(pending.items()):
            if before is not None and not before.transient:
                continue
            try:
                self._look_at(carrier, look)
            except ApiRefusalError as error:
                if error.status in (403, 404) and not self._expects(carrier):
                    # What we may not even see, we cannot have changed; and what is not served is
                    # not there.
                    refused.append(error)
                    del pending[carrier]
                    if error.status == 403:
                        look.notes.append(f"not looked at: {error.message}")
                    continue
                pending[carrier] = error
                log.info("cannot look: %s", error.message)
                silences = silences + 1 if error.status == 0 else 0
                if silences == MOST_SILENCES:
                    return
            else:
                silences = 0
                del pending[carrier]

    def _look_at(self, carrier: Carrier, look: Look) -> None:
        objects = self._objects(carrier, look)
        look.looked_at += len(objects)
        now_s = time.time()
        for obj in objects:
            try:
                self._take_in(carrier, obj, now_s, look)
            except Exception as error:  # noqa: BLE001 - one odd object must not hide all others
                log.warning("%s cannot be understood: %s", _subject(obj), error)
                if FAULTS_START in json.dumps(obj):
                    look.unseen[_subject(obj)] = f"it cannot be understood: {error}"

    def _take_in(self, carrier: Carrier, obj: Object, now_s: float, look: Look) -> None:
        keys = self.keys(carrier, obj, now_s)
        look.others += [mark.sentence for mark in marks_on(obj) if not keys & _names(carrier, mark)]
        if keys:
            look.found.append((carrier, obj, keys))
            self.known |= keys

    def keys(self, carrier: Carrier, obj: Object, now_s: float) -> set[str]:
        """Keys of the faults on ``obj`` that are in scope, all that is known considered."""
        return self.scope.keys(carrier, obj, now_s, self.known)

    def _expects(self, carrier: Carrier) -> bool:
        start = carrier.kind.subject("")
        return any(subject.startswith(start) for subject in self.scope.expected)

    def _objects(self, carrier: Carrier, look: Look) -> list[Object]:
        namespace = self.scope.namespace
        if not self.scope.everywhere or not carrier.kind.namespaced:
            return self.cluster.items(carrier.kind, namespace, carrier.selector)
        try:
            return self.cluster.items(carrier.kind, None, carrier.selector)
        except ApiRefusalError as error:
            if error.status != 403 or not namespace:
                raise
            look.notes.append(f"only {namespace} was looked at: {error.message}")
            return self.cluster.items(carrier.kind, namespace, carrier.selector)


def _names(carrier: Carrier, mark: FaultMark) -> set[str]:
    """The keys by which the fault of a mark may be known."""
    key = fault_key(mark.run, mark.fault)
    return {key, carrier.alias(key), mark.fault, PREFIX + mark.fault}


def _subject(obj: Object) -> str:
    return f"{str(obj['kind']).lower()}/{obj['metadata']['name']}"
