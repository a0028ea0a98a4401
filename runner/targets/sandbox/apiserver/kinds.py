"""Which kinds the API server has: names, versions, scope, subresources. Data and look-ups only."""

from __future__ import annotations

from dataclasses import dataclass

ALL_VERBS = (
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
)
READ_VERBS = ("get", "list", "watch")
CREATE_ONLY = ("create",)

ISTIO_VERSIONS = ("v1", "v1beta1", "v1alpha3")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object and how it is served.

    Attributes:
        group: API group; empty for the core group.
        versions: Served versions, the preferred one first; all show the same stored object.
        plural: Name in URLs.
        kind: Name in objects.
        namespaced: Whether its objects live in namespaces.
        short: Short names for kubectl.
        categories: kubectl's collective names, as ``all``.
        subresources: Those served besides the object itself.
        verbs: What may be done with it.
        custom: Whether it stands for a custom resource: no strategic merge, lists are atomic.
    """

    group: str
    versions: tuple[str, ...]
    plural: str
    kind: str
    namespaced: bool = True
    short: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    custom: bool = False

    @property
    def qualified(self) -> str:
        """Plural with its group, as messages name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def api_version(self, version: str) -> str:
        """The ``apiVersion`` of an object that is shown under ``version``."""
        return f"{self.group}/{version}" if self.group else version


def _core(plural: str, kind: str, *short: str, sub: str = "", **more: object) -> Kind:
    return Kind("", ("v1",), plural, kind, short=short, subresources=tuple(sub.split()), **more)  # type: ignore[arg-type]


def _named(group: str, plural: str, kind: str, *short: str, sub: str = "", **more: object) -> Kind:
    versions = more.pop("versions", ("v1",))
    return Kind(group, versions, plural, kind, short=short, subresources=tuple(sub.split()), **more)  # type: ignore[arg-type]


def _istio(group: str, plural: str, kind: str, *short: str) -> Kind:
    versions = ISTIO_VERSIONS if group.startswith("networking") else ISTIO_VERSIONS[:2]
    categories = ("istio-io", group.removesuffix(".istio.io") + "-istio-io")
    return Kind(group, versions, plural, kind, True, short, categories, ("status",), custom=True)


_ALL = ("all",)
_RBAC = "rbac.authorization.k8s.io"
_ISTIO_NET, _ISTIO_SEC = "networking.istio.io", "security.istio.io"

KINDS: tuple[Kind, ...] = (
    _core("pods", "Pod", "po", sub="status log eviction binding", categories=_ALL),
    _core("services", "Service", "svc", sub="status", categories=_ALL),
    _core("endpoints", "Endpoints", "ep"),
    _core("events", "Event", "ev"),
    _core("configmaps", "ConfigMap", "cm"),
    _core("secrets", "Secret"),
    _core("serviceaccounts", "ServiceAccount", "sa"),
    _core("persistentvolumeclaims", "PersistentVolumeClaim", "pvc", sub="status"),
    _core("resourcequotas", "ResourceQuota", "quota", sub="status"),
    _core("limitranges", "LimitRange", "limits"),
    _core("replicationcontrollers", "ReplicationController", "rc", sub="status scale"),
    _core("namespaces", "Namespace", "ns", sub="status finalize", namespaced=False),
    _core("nodes", "Node", "no", sub="status", namespaced=False),
    _named("apps", "deployments", "Deployment", "deploy", sub="status scale", categories=_ALL),
    _named("apps", "replicasets", "ReplicaSet", "rs", sub="status scale", categories=_ALL),
    _named("apps", "statefulsets", "StatefulSet", "sts", sub="status scale", categories=_ALL),
    _named("apps", "daemonsets", "DaemonSet", "ds", sub="status", categories=_ALL),
    _named(
        "autoscaling",
        "horizontalpodautoscalers",
        "HorizontalPodAutoscaler",
        "hpa",
        sub="status",
        versions=("v2", "v1"),
        categories=_ALL,
    ),
    _named("batch", "jobs", "Job", sub="status", categories=_ALL),
    _named("batch", "cronjobs", "CronJob", "cj", sub="status", categories=_ALL),
    _named("policy", "poddisruptionbudgets", "PodDisruptionBudget", "pdb", sub="status"),
    _named("coordination.k8s.io", "leases", "Lease"),
    _named("networking.k8s.io", "networkpolicies", "NetworkPolicy", "netpol"),
    _named("networking.k8s.io", "ingresses", "Ingress", "ing", sub="status"),
    _named(_RBAC, "roles", "Role"),
    _named(_RBAC, "rolebindings", "RoleBinding"),
    _named(_RBAC, "clusterroles", "ClusterRole", namespaced=False),
    _named(_RBAC, "clusterrolebindings", "ClusterRoleBinding", namespaced=False),
    _named(
        "apiextensions.k8s.io",
        "customresourcedefinitions",
        "CustomResourceDefinition",
        "crd",
        "crds",
        namespaced=False,
        verbs=READ_VERBS,
    ),
    _named(
        "authorization.k8s.io",
        "selfsubjectaccessreviews",
        "SelfSubjectAccessReview",
        namespaced=False,
        verbs=CREATE_ONLY,
    ),
    _named(
        "authorization.k8s.io",
        "selfsubjectrulesreviews",
        "SelfSubjectRulesReview",
        namespaced=False,
        verbs=CREATE_ONLY,
    ),
    _named(
        "authentication.k8s.io",
        "selfsubjectreviews",
        "SelfSubjectReview",
        namespaced=False,
        verbs=CREATE_ONLY,
    ),
    _istio(_ISTIO_NET, "virtualservices", "VirtualService", "vs"),
    _istio(_ISTIO_NET, "destinationrules", "DestinationRule", "dr"),
    _istio(_ISTIO_NET, "gateways", "Gateway", "gw"),
    _istio(_ISTIO_NET, "envoyfilters", "EnvoyFilter"),
    _istio(_ISTIO_NET, "serviceentries", "ServiceEntry", "se"),
    _istio(_ISTIO_NET, "sidecars", "Sidecar"),
    _istio(_ISTIO_NET, "workloadentries", "WorkloadEntry", "we"),
    _istio(_ISTIO_SEC, "peerauthentications", "PeerAuthentication", "pa"),
    _istio(_ISTIO_SEC, "authorizationpolicies", "AuthorizationPolicy", "ap"),
    _istio(_ISTIO_SEC, "requestauthentications", "RequestAuthentication", "ra"),
)

BY_PLURAL: dict[tuple[str, str], Kind] = {(kind.group, kind.plural): kind for kind in KINDS}

PODS = BY_PLURAL["", "pods"]
NAMESPACES = BY_PLURAL["", "namespaces"]
NODES = BY_PLURAL["", "nodes"]
EVENTS = BY_PLURAL["", "events"]
SERVICES = BY_PLURAL["", "services"]
BUDGETS = BY_PLURAL["policy", "poddisruptionbudgets"]
DEFINITIONS = BY_PLURAL["apiextensions.k8s.io", "customresourcedefinitions"]

GROUPS: tuple[str, ...] = tuple(dict.fromkeys(kind.group for kind in KINDS))


def versions_of(group: str) -> tuple[str, ...]:
    """Served versions of a group, the preferred one first; empty when there is no such group."""
    return tuple(dict.fromkeys(v for kind in KINDS if kind.group == group for v in kind.versions))


def kinds_of(group: str, version: str) -> list[Kind]:
    """The kinds that are served under one group and version."""
    return [kind for kind in KINDS if kind.group == group and version in kind.versions]


def find_kind(group: str, version: str, plural: str) -> Kind | None:
    """The kind that a URL names, if it is served under that version."""
    kind = BY_PLURAL.get((group, plural))
    return kind if kind is not None and version in kind.versions else None


def served_by_kind_name(api_version: str, name: str) -> Kind | None:
    """The kind that an object's ``apiVersion`` and ``kind`` name, if it is served."""
    group, _, version = api_version.rpartition("/")
    for kind in KINDS:
        if kind.group == group and kind.kind == name and version in kind.versions:
            return kind
    return None
