"""Who may do what, by the Roles and bindings that are stored: RBAC for users beside the admin.

The sandbox has one user, who may do everything. To try what a user with fewer rights may do, the
admin can act as him: with the header ``Impersonate-User`` (``kubectl --as``), or with a token that
is his own, a dot, and the user's name, for clients that know no such header.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from runner.targets.sandbox.apiobjects import Obj
from runner.targets.sandbox.apiserver.errors import StatusError
from runner.targets.sandbox.apiserver.kinds import BY_PLURAL, Kind
from runner.targets.sandbox.apiserver.store import Store

RBAC = "rbac.authorization.k8s.io"
_GROUP = "system:authenticated"
_ACCOUNT = "system:serviceaccount:"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a user wants to do.

    Attributes:
        resource: Plural, with its subresource, such as ``pods/eviction``.
        namespace: Empty for what is in none, and for all of them.
        name: Of one object; empty for none in particular.
    """

    verb: str
    group: str
    resource: str
    namespace: str = ""
    name: str = ""


def may(store: Store, user: str, attempt: Attempt) -> bool:
    """Whether some Role that is bound to ``user`` allows ``attempt``."""
    return any(_allows(rule, attempt) for rule in _rules(store, user, attempt.namespace))


def require(store: Store, user: str, attempt: Attempt) -> None:
    """Let ``attempt`` pass.

    Raises:
        StatusError: 403, in the words of Kubernetes.
    """
    if may(store, user, attempt):
        return
    where = f' in the namespace "{attempt.namespace}"' if attempt.namespace else ""
    where = where or " at the cluster scope"
    named = f' "{attempt.name}"' if attempt.name else ""
    full = f"{attempt.resource}.{attempt.group}" if attempt.group else attempt.resource
    raise StatusError(
        403,
        f'{full}{named} is forbidden: User "{user}" cannot {attempt.verb} resource '
        f'"{attempt.resource}" in API group "{attempt.group}"{where}',
    )


def attempt_of(
    method: str, kind: Kind, place: tuple[str, str], *, subresource: str, watch: bool
) -> Attempt:
    """What a request wants to do to ``place``, a namespace and a name."""
    namespace, name = place
    if method in {"GET", "HEAD"}:
        verb = "watch" if watch else "get" if name else "list"
    elif method == "DELETE":
        verb = "delete" if name else "deletecollection"
    else:
        verb = {"POST": "create", "PUT": "update", "PATCH": "patch"}.get(method, method.lower())
    resource = f"{kind.plural}/{subresource}" if subresource else kind.plural
    # As Kubernetes has it, a namespace is in itself: a Role in it can allow to read it.
    inside = name if kind.plural == "namespaces" and name else namespace
    return Attempt(verb, kind.group, resource, inside, name)


def attempt_asked(attributes: Obj) -> Attempt:
    """What the ``resourceAttributes`` of an access review ask about."""
    resource, sub = attributes.get("resource", ""), attributes.get("subresource", "")
    return Attempt(
        verb=attributes.get("verb", ""),
        group=attributes.get("group", ""),
        resource=f"{resource}/{sub}" if sub else resource,
        namespace=attributes.get("namespace", ""),
        name=attributes.get("name", ""),
    )


def _rules(store: Store, user: str, namespace: str) -> Iterator[Obj]:
    """The rules that hold for ``user``: everywhere, and in ``namespace`` if there is one."""
    bindings = [(one, "") for one in store.select(BY_PLURAL[RBAC, "clusterrolebindings"])]
    if namespace:
        inside = store.select(BY_PLURAL[RBAC, "rolebindings"], namespace)
        bindings += [(one, namespace) for one in inside]
    for binding, where in bindings:
        if not any(_is(subject, user) for subject in binding.get("subjects") or ()):
            continue
        reference = binding["roleRef"]
        plural = "roles" if reference["kind"] == "Role" else "clusterroles"
        role = store.get(
            BY_PLURAL[RBAC, plural], where if plural == "roles" else "", reference["name"]
        )
        yield from (role or {}).get("rules") or ()


def _is(subject: Obj, user: str) -> bool:
    if subject.get("kind") == "ServiceAccount":
        return user == f"{_ACCOUNT}{subject.get('namespace')}:{subject.get('name')}"
    return subject.get("name") in ((_GROUP,) if subject.get("kind") == "Group" else (user,))


def _allows(rule: Obj, attempt: Attempt) -> bool:
    resource, _, sub = attempt.resource.partition("/")
    resources = {"*", attempt.resource} | ({f"*/{sub}", f"{resource}/*"} if sub else set())
    names = rule.get("resourceNames") or ()
    return (
        not {"*", attempt.verb}.isdisjoint(rule.get("verbs") or ())
        and not {"*", attempt.group}.isdisjoint(rule.get("apiGroups") or ())
        and not resources.isdisjoint(rule.get("resources") or ())
        and (not names or attempt.name in names)
    )
