"""What the API server refuses to store: bad names, bad labels, objects that cannot work.

It checks what a controller would stumble over, not every field of every type.
"""

from __future__ import annotations

import re
from typing import Any

from runner.targets.sandbox.apiobjects import Obj
from runner.targets.sandbox.apiserver import autoscalers
from runner.targets.sandbox.apiserver.errors import StatusError, bad_request, invalid
from runner.targets.sandbox.apiserver.kinds import Kind
from runner.targets.sandbox.apiserver.selectors import structured_test

Causes = list[tuple[str, str, str]]

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z")
_LABEL_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?\Z")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z")
_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?\Z")
_LABEL_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]\Z")
_LABEL_MAX = 63
_SUBDOMAIN_MAX = 253
_ANNOTATIONS_MAX = 256 * 1024
_REQUIRED, _INVALID = "FieldValueRequired", "FieldValueInvalid"


def check_name(kind: Kind, name: str) -> None:
    """Refuse a name that the kind does not allow (RFC 1123, RFC 1035, or a path segment).

    Raises:
        StatusError: 422.
    """
    if kind.group == "rbac.authorization.k8s.io":
        fits, rule = name not in {".", ".."} and not set("/%") & set(name), "a path segment"
    elif kind.plural == "services":
        fits = len(name) <= _LABEL_MAX and bool(_LABEL_1035.match(name))
        rule = "a lowercase RFC 1035 label"
    elif kind.plural == "namespaces":
        fits = len(name) <= _LABEL_MAX and bool(_LABEL.match(name))
        rule = "a lowercase RFC 1123 label"
    else:
        fits = len(name) <= _SUBDOMAIN_MAX and bool(_SUBDOMAIN.match(name))
        rule = "a lowercase RFC 1123 subdomain"
    if not fits:
        text = f'Invalid value: "{name}": must be {rule}'
        raise invalid(kind, name, [(_INVALID, "metadata.name", text)])


def check_shape(obj: Any) -> None:
    """Refuse what is not an object with object-valued metadata, spec and status.

    Raises:
        StatusError: 400.
    """
    if not isinstance(obj, dict):
        raise bad_request("the body of the request is not an object")
    for key in ("metadata", "spec", "status"):
        if obj.get(key) is not None and not isinstance(obj[key], dict):
            raise bad_request(f"json: cannot unmarshal {type(obj[key]).__name__} into {key}")
    metadata = obj.get("metadata") or {}
    for key in ("labels", "annotations"):
        entries = metadata.get(key)
        if entries is None:
            continue
        if not isinstance(entries, dict) or not all(isinstance(v, str) for v in entries.values()):
            raise bad_request(f"json: metadata.{key} must map texts to texts")
    for key in ("name", "namespace", "generateName", "uid", "resourceVersion"):
        if metadata.get(key) is not None and not isinstance(metadata[key], str):
            raise bad_request(f"json: metadata.{key} must be a text")
    owners = metadata.get("ownerReferences") or []
    if not isinstance(owners, list) or not all(isinstance(owner, dict) for owner in owners):
        raise bad_request("json: metadata.ownerReferences must be a list of objects")


def check_object(kind: Kind, obj: Obj, live: Obj | None = None) -> None:
    """Refuse an object that is not valid for its kind, or an update that is not allowed.

    Raises:
        StatusError: 422 with all causes.
    """
    causes = _metadata(obj["metadata"])
    check = None if kind.custom else _BY_KIND.get(kind.plural)
    if check is not None:
        try:
            causes += check(obj, live)
        except (AttributeError, TypeError, ValueError) as error:
            raise bad_request(f"{kind.kind}: a field has a wrong type: {error}") from error
    if causes:
        raise invalid(kind, obj["metadata"]["name"], causes)


def _metadata(metadata: Obj) -> Causes:
    causes: Causes = []
    for key, value in (metadata.get("labels") or {}).items():
        causes += _label_key("metadata.labels", key)
        if len(value) > _LABEL_MAX or not _LABEL_VALUE.match(value):
            text = f'Invalid value: "{value}": a valid label must have at most 63 characters'
            causes.append((_INVALID, "metadata.labels", f"{text} of [-A-Za-z0-9_.]"))
    annotations = metadata.get("annotations") or {}
    for key in annotations:
        causes += _label_key("metadata.annotations", key)
    if sum(len(key) + len(value) for key, value in annotations.items()) > _ANNOTATIONS_MAX:
        causes.append(("FieldValueTooLong", "metadata.annotations", "Too long: at most 262144"))
    return causes


def _label_key(field: str, key: str) -> Causes:
    prefix, slash, name = key.rpartition("/")
    fits = len(name) <= _LABEL_MAX and _LABEL_NAME.match(name)
    if slash:
        fits = fits and len(prefix) <= _SUBDOMAIN_MAX and _SUBDOMAIN.match(prefix.lower())
    return [] if fits else [(_INVALID, field, f'Invalid value: "{key}": not a qualified name')]


def _pod_spec(spec: Obj, path: str) -> Causes:
    containers = spec.get("containers")
    if not containers:
        return [(_REQUIRED, f"{path}.containers", "Required value")]
    causes: Causes = []
    seen: set[str] = set()
    for index, container in enumerate([*(spec.get("initContainers") or []), *containers]):
        where = f"{path}.containers[{index}]"
        name = container.get("name") or ""
        if not name:
            causes.append((_REQUIRED, f"{where}.name", "Required value"))
        elif not _LABEL.match(name):
            causes.append((_INVALID, f"{where}.name", f'Invalid value: "{name}"'))
        elif name in seen:
            causes.append(("FieldValueDuplicate", f"{where}.name", f'Duplicate value: "{name}"'))
        seen.add(name)
        if not container.get("image"):
            causes.append((_REQUIRED, f"{where}.image", "Required value"))
    return causes


_POD_MUTABLE = ("activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds")


def _pod(obj: Obj, live: Obj | None) -> Causes:
    spec = obj.get("spec") or {}
    causes = _pod_spec(spec, "spec")
    if live is not None and _frozen(spec) != _frozen(live.get("spec") or {}):
        text = (
            "Forbidden: pod updates may not change fields other than"
            " `spec.containers[*].image`,`spec.initContainers[*].image`,"
            "`spec.activeDeadlineSeconds`,`spec.tolerations`,"
            "`spec.terminationGracePeriodSeconds`"
        )
        causes.append(("FieldValueForbidden", "spec", text))
    return causes


def _frozen(spec: Obj) -> Obj:
    """The part of a pod's spec that an update must leave as it is."""
    kept = {key: value for key, value in spec.items() if key not in _POD_MUTABLE}
    for key in ("containers", "initContainers"):
        if key in kept:
            kept[key] = [
                {name: value for name, value in one.items() if name != "image"} for one in kept[key]
            ]
    return kept


def _workload(obj: Obj, live: Obj | None) -> Causes:
    spec = obj.get("spec") or {}
    causes: Causes = []
    replicas = spec.get("replicas", 0)
    if not isinstance(replicas, int) or isinstance(replicas, bool):
        raise StatusError(400, "json: spec.replicas must be a whole number")
    if replicas < 0:
        text = f"Invalid value: {replicas}: must be greater than or equal to 0"
        causes.append((_INVALID, "spec.replicas", text))
    selector, template = spec.get("selector"), spec.get("template") or {}
    if not selector:
        causes.append((_REQUIRED, "spec.selector", "Required value"))
    elif not structured_test(selector)((template.get("metadata") or {}).get("labels") or {}):
        text = "Invalid value: `selector` does not match template `labels`"
        causes.append((_INVALID, "spec.template.metadata.labels", text))
    if live is not None and selector != (live.get("spec") or {}).get("selector"):
        causes.append((_INVALID, "spec.selector", "Invalid value: field is immutable"))
    return causes + _pod_spec(template.get("spec") or {}, "spec.template.spec")


def _service(obj: Obj, _live: Obj | None) -> Causes:
    spec = obj.get("spec") or {}
    causes: Causes = []
    ports = spec.get("ports") or []
    if not ports and spec.get("type") != "ExternalName" and spec.get("clusterIP") != "None":
        causes.append((_REQUIRED, "spec.ports", "Required value"))
    for index, port in enumerate(ports):
        number = port.get("port", 0)
        if not isinstance(number, int) or not 0 < number < 65536:
            text = f"Invalid value: {number}: must be between 1 and 65535, inclusive"
            causes.append((_INVALID, f"spec.ports[{index}].port", text))
        if len(ports) > 1 and not port.get("name"):
            causes.append((_REQUIRED, f"spec.ports[{index}].name", "Required value"))
    return causes


_BY_KIND: dict[str, Any] = {
    "pods": _pod,
    "deployments": _workload,
    "replicasets": _workload,
    "statefulsets": _workload,
    "services": _service,
    autoscalers.PLURAL: autoscalers.check,
}
