"""Reading the body of a request: JSON, YAML, or Kubernetes' protobuf envelope."""

from __future__ import annotations

import json
from typing import Any

from runner.targets.sandbox.apiserver.errors import StatusError, bad_request

PROTOBUF = "application/vnd.kubernetes.protobuf"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
PATCH_TYPES = (JSON_PATCH, MERGE, STRATEGIC, APPLY)
DEPTH_MAX = 200


def decode(content: bytes, content_type: str) -> Any:
    """The value that a body stands for; ``None`` for an empty one.

    Raises:
        StatusError: 400 for a malformed body, 415 for an unknown media type.
    """
    media = content_type.partition(";")[0].strip().lower()
    if not content.strip():
        return None
    if media == PROTOBUF:
        from runner.targets.sandbox.apiserver.protobuf import decode_envelope

        return decode_envelope(content)
    if media.endswith("yaml"):
        return _yaml(content)
    if media and not media.endswith("json"):
        raise StatusError(
            415,
            "the body of the request was in an unknown format - accepted media types include:"
            f" application/json, application/yaml, {PROTOBUF}",
        )
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise bad_request(f"the body of the request is not valid JSON: {error}") from error
    _check_depth(value, 0)
    return value


def _yaml(content: bytes) -> Any:
    try:
        return json.loads(content)  # what controllers send: JSON is YAML, and parses faster
    except (ValueError, RecursionError):
        pass
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        value = YAML(typ="safe", pure=True).load(content)
    except (YAMLError, ValueError, RecursionError) as error:
        raise bad_request(f"error decoding YAML: {error}") from error
    _check_depth(value, 0)
    # Dates and other YAML-only values become what JSON has for them.
    return json.loads(json.dumps(value, default=str))


def _check_depth(value: Any, depth: int) -> None:
    """Refuse nesting that would exhaust the stack of whoever walks over the object."""
    if depth > DEPTH_MAX:
        raise bad_request(f"the body of the request is nested deeper than {DEPTH_MAX} levels")
    if isinstance(value, dict):
        for inner in value.values():
            _check_depth(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _check_depth(inner, depth + 1)
