"""Objects that are a fault as a whole: put in place once, and read back."""

from __future__ import annotations

from runner.chaos import owned
from runner.chaos.activities.shared import subject_of
from runner.chaos.annotation import Tag, fault_key
from runner.chaos.client import ApiRefusalError, Cluster, patiently
from runner.chaos.objects import SERVICES, Kind, Object
from runner.errors import FaultError

ABSENT, CONFLICT = 404, 409
CONTENTS = ("spec", "data")


def selector_of(cluster: Cluster, namespace: str, service: str) -> dict[str, str]:
    """The labels by which a Service selects its pods.

    Raises:
        FaultError: When there is no such Service, or it selects nothing.
    """
    try:
        found = patiently(lambda: cluster.read(SERVICES, namespace, service))
    except ApiRefusalError as error:
        if error.status != ABSENT:
            raise
        raise FaultError(
            f"there is no service/{service} in {namespace}", accepted="the name of a Service"
        ) from error
    labels = (found.get("spec") or {}).get("selector") or {}
    if not labels:
        raise FaultError(
            f"service/{service} has no selector, so nobody knows its pods",
            accepted="a Service with a selector",
        )
    return dict(labels)


def place(cluster: Cluster, kind: Kind, body: Object) -> str:
    """Create ``body``, unless it is there already because an answer was lost; gives its subject.

    Raises:
        FaultError: When something else has its name.
        ApiRefusalError: When it was refused for good, or again and again.
    """
    metadata = body["metadata"]

    def once() -> None:
        try:
            cluster.create(kind, body)
        except ApiRefusalError as error:
            if error.status != CONFLICT:
                raise
            # A list, because not every fault takes the right to read its object by name.
            ours = cluster.items(kind, metadata["namespace"], owned.OWNED_SELECTOR)
            if not any(_same(there, body) for there in ours):
                raise FaultError(
                    f"{kind.subject(metadata['name'])} is there already, and is something else",
                    accepted="another run or fault id, or remove_fault before",
                ) from error

    patiently(once)
    return subject_of(body)


def _same(there: Object, body: Object) -> bool:
    """Whether ``there`` has the name, the fault and the contents of ``body``."""
    return (
        there["metadata"]["name"] == body["metadata"]["name"]
        and owned.faults_on(there).keys() == owned.faults_on(body).keys()
        and all(there.get(part) == body.get(part) for part in CONTENTS)
    )


def placed(cluster: Cluster, kind: Kind, namespace: str, run: str, fault: str) -> Object:
    """The object of a fault, as it is now.

    Raises:
        FaultError: When it is not there (any more).
    """
    key = fault_key(run, fault)
    subject = kind.subject(owned.object_name(key))
    try:
        found: Object = patiently(lambda: cluster.read(kind, namespace, owned.object_name(key)))
    except ApiRefusalError as error:
        if error.status != ABSENT:
            raise
        raise FaultError(f"{subject} is not there (any more)") from error
    if tag_of(found, key) is None:
        raise FaultError(f"{subject} does not carry {key} (any more)")
    return found


def tag_of(obj: Object, key: str) -> Tag | None:
    """The tag of the fault ``key`` on its own object."""
    return owned.faults_on(obj).get(key)
