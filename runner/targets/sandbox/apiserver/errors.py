"""Refusals of the API server, as Kubernetes words them: HTTP code, reason, message, details."""

from __future__ import annotations

from typing import Any

from runner.targets.sandbox.apiobjects import Obj
from runner.targets.sandbox.apiserver.kinds import Kind

REASONS: dict[int, str] = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    409: "Conflict",
    410: "Expired",
    413: "RequestEntityTooLarge",
    415: "UnsupportedMediaType",
    421: "MisdirectedRequest",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    501: "NotImplemented",
    502: "BadGateway",
    503: "ServiceUnavailable",
    504: "Timeout",
}


class StatusError(Exception):
    """A refusal that is answered as a ``Status`` object."""

    def __init__(
        self, code: int, message: str, *, reason: str = "", details: Obj | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason or REASONS.get(code, "InternalError")
        self.details = details or {}

    def body(self) -> Obj:
        """The ``Status`` object."""
        status: Obj = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        if self.details:
            status["details"] = self.details
        return status


def success(kind: Kind, name: str, uid: str) -> Obj:
    """The ``Status`` that answers a deletion."""
    details = {"name": name, "group": kind.group, "kind": kind.plural, "uid": uid}
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {key: value for key, value in details.items() if value},
    }


def _details(kind: Kind, name: str, **more: Any) -> Obj:
    details = {"name": name, "group": kind.group, "kind": kind.plural} | more
    return {key: value for key, value in details.items() if value}


def not_found(kind: Kind, name: str) -> StatusError:
    """404: there is no such object."""
    return StatusError(404, f'{kind.qualified} "{name}" not found', details=_details(kind, name))


def already_exists(kind: Kind, name: str) -> StatusError:
    """409 on creation: the name is taken."""
    message = f'{kind.qualified} "{name}" already exists'
    return StatusError(409, message, reason="AlreadyExists", details=_details(kind, name))


def conflict(kind: Kind, name: str, why: str = "") -> StatusError:
    """409 on an update: the object has moved on, or a precondition failed."""
    why = why or (
        "the object has been modified; please apply your changes to the latest version"
        " and try again"
    )
    message = f'Operation cannot be fulfilled on {kind.qualified} "{name}": {why}'
    return StatusError(409, message, details=_details(kind, name))


def invalid(kind: Kind, name: str, causes: list[tuple[str, str, str]]) -> StatusError:
    """422 with its causes, each ``(reason, field path, message)``."""
    listed = [
        {"reason": reason, "field": field, "message": message} for reason, field, message in causes
    ]
    said = [f"{field}: {message}" for _, field, message in causes]
    text = said[0] if len(said) == 1 else "[" + ", ".join(said) + "]"
    qualified = f"{kind.kind}.{kind.group}" if kind.group else kind.kind
    details = _details(kind, name, causes=listed) | {"kind": kind.kind}
    return StatusError(422, f'{qualified} "{name}" is invalid: {text}', details=details)


def bad_request(message: str) -> StatusError:
    """400: the request itself makes no sense."""
    return StatusError(400, message)


def expired() -> StatusError:
    """410: the version to resume from is no longer remembered."""
    return StatusError(410, "The resourceVersion for the provided watch is too old.")
