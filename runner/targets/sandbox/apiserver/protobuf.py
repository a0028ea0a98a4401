r"""Reading Kubernetes' protobuf bodies into the objects that their JSON would have been.

kubectl and other typed clients send what they create as protobuf and do not fall back to JSON. A
body is the four bytes ``k8s\0`` and a message ``Unknown{typeMeta, raw}``. A field whose number is
not in ``wire`` is refused, not dropped: half an object is worse than none.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from runner.targets.sandbox.apiobjects import Obj
from runner.targets.sandbox.apiserver.errors import StatusError, bad_request
from runner.targets.sandbox.apiserver.wire import Field, message

MAGIC = b"k8s\x00"
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
VARINT_BYTES_MAX = 10
DEPTH_MAX = 40
_TYPE_META, _RAW = 1, 2


def decode_envelope(content: bytes) -> Obj:
    """The object in a body.

    Raises:
        StatusError: 400 for a malformed body, 415 for a kind or field that is not known here.
    """
    if not content.startswith(MAGIC):
        raise bad_request("the body is not Kubernetes protobuf: it lacks the k8s prefix")
    try:
        parts = dict(_fields(content[len(MAGIC) :]))
        type_meta = dict(_fields(_bytes(parts.get(_TYPE_META, b""))))
        api_version, kind = (_text(type_meta.get(number, b"")) for number in (1, 2))
        fields = message(f"{api_version}/{kind}")
        if fields is None:
            raise StatusError(415, f"{api_version} {kind} is not understood as protobuf; send JSON")
        obj = _message(_bytes(parts.get(_RAW, b"")), fields, kind, 0)
    except (ValueError, IndexError, TypeError) as error:
        raise bad_request(f"the body is not valid protobuf: {error}") from error
    return {"apiVersion": api_version, "kind": kind, **obj}


def _fields(content: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message as they stand: number and raw value."""
    position = 0
    while position < len(content):
        tag, position = _varint(content, position)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == VARINT:
            value, position = _varint(content, position)
            yield number, value
            continue
        if wire_type == BYTES:
            length, position = _varint(content, position)
        elif wire_type in {FIXED64, FIXED32}:
            length = 8 if wire_type == FIXED64 else 4
        else:
            raise ValueError(f"wire type {wire_type}")
        if position + length > len(content):
            raise ValueError("it ends in the middle of a field")
        yield number, content[position : position + length]
        position += length


def _varint(content: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(VARINT_BYTES_MAX):
        byte = content[position]
        position += 1
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            return value, position
    raise ValueError("a number is too long")


def _signed(value: int | bytes) -> int:
    if not isinstance(value, int):
        raise TypeError("a number is expected")
    return value - (1 << 64) if value >= 1 << 63 else value


def _bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError("bytes are expected")
    return value


def _text(value: int | bytes) -> str:
    return _bytes(value).decode()


def _message(content: bytes, fields: dict[int, Field], name: str, depth: int) -> Obj:
    if depth > DEPTH_MAX:
        raise ValueError("it is nested too deeply")
    result: Obj = {}
    for number, raw in _fields(content):
        field = fields.get(number)
        if field is None:
            if raw in {0, b""}:
                continue  # Go writes unset plain fields too
            message_ = f"field {number} of {name} is not understood as protobuf; send JSON"
            raise StatusError(415, message_)
        if field.type == "-":
            continue
        if field.mapped:
            entry = dict(_fields(_bytes(raw)))
            value = _value(entry.get(2, b""), field, depth)
            result.setdefault(field.name, {})[_text(entry.get(1, b""))] = value
        elif field.many:
            result.setdefault(field.name, []).append(_value(raw, field, depth))
        elif field.inline:
            result |= _value(raw, field, depth)
        else:
            value = _value(raw, field, depth)
            if field.optional or value not in ("", 0, False, {}, None):
                result[field.name] = value
    return result


def _value(raw: int | bytes, field: Field, depth: int) -> Any:
    if field.type == "s":
        return _text(raw)
    if field.type == "i":
        return _signed(raw)
    if field.type == "b":
        return bool(raw)
    if field.type == "y":
        return base64.b64encode(_bytes(raw)).decode()
    inner = _bytes(raw)
    if field.type == "q":
        return _text(dict(_fields(inner)).get(1, b""))
    if field.type == "t":
        return _time(inner)
    if field.type == "x":
        return _number_or_text(inner)
    fields = message(field.type)
    if fields is None:
        raise StatusError(500, f"the wire table has no message {field.type}")
    return _message(inner, fields, field.type, depth + 1)


def _number_or_text(content: bytes) -> int | str:
    parts = dict(_fields(content))
    return _text(parts.get(3, b"")) if parts.get(1) else _signed(parts.get(2, 0))


def _time(content: bytes) -> str | None:
    parts = dict(_fields(content))
    seconds, nanos = _signed(parts.get(1, 0)), _signed(parts.get(2, 0))
    if not seconds and not nanos:
        return None
    moment = datetime.fromtimestamp(seconds, UTC)
    if not nanos:
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + f".{nanos // 1000:06d}Z"
