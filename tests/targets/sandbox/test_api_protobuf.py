"""Protobuf bodies: bytes that kubectl has sent, and bytes that nobody should."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.targets.sandbox.apiserver.errors import StatusError
from runner.targets.sandbox.apiserver.protobuf import decode_envelope
from runner.targets.sandbox.apiserver.wire import _TEXT, message

# kubectl 1.32: `create ns foo`.
NAMESPACE = bytes.fromhex(
    "6b3873000a0f0a02763112094e616d657370616365121b0a130a03666f6f12001a0022002a003200"
    "38004200120 01a020a001a002200".replace(" ", "")
)


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def field(number: int, value: int | bytes | str) -> bytes:
    """One field of a message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def envelope(api_version: str, kind: str, raw: bytes) -> bytes:
    return b"k8s\x00" + field(1, field(1, api_version) + field(2, kind)) + field(2, raw)


def test_what_kubectl_sends_for_a_namespace() -> None:
    """The recorded bytes; Go's empty fields are left out, as its JSON would."""
    assert decode_envelope(NAMESPACE) == {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "foo"},
    }


def test_every_type_of_field() -> None:
    """Maps, lists, quantities, bytes, number-or-text, times, inline parts and meant zeros."""
    probe = field(1, field(2, field(1, "/healthz") + field(2, field(1, 1) + field(3, "http"))))
    probe += field(3, 1)
    port = field(3, 8080) + field(4, "TCP")
    limits = field(1, field(1, "cpu") + field(2, field(1, "500m")))
    container = field(1, "app") + field(2, "a:1") + field(6, port) + field(8, limits)
    container += field(11, probe) + field(3, "") + field(3, "x")
    pod_spec = field(2, container) + field(4, 0)
    template = field(1, field(11, field(1, "app") + field(2, "web"))) + field(2, pod_spec)
    rolling = field(2, field(1, 0) + field(2, 0)) + field(1, field(1, 1) + field(3, "25%"))
    spec = field(1, 0) + field(3, template) + field(4, field(2, rolling)) + field(5, 0)
    raw = field(1, field(1, "web") + field(8, field(1, 5))) + field(2, spec) + field(3, field(1, 9))
    assert decode_envelope(envelope("apps/v1", "Deployment", raw)) == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 0,
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {
                    "terminationGracePeriodSeconds": 0,
                    "containers": [
                        {
                            "name": "app",
                            "image": "a:1",
                            "command": ["", "x"],
                            "ports": [{"containerPort": 8080, "protocol": "TCP"}],
                            "resources": {"limits": {"cpu": "500m"}},
                            "readinessProbe": {
                                "httpGet": {"path": "/healthz", "port": "http"},
                                "timeoutSeconds": 1,
                            },
                        }
                    ],
                },
            },
            "strategy": {"rollingUpdate": {"maxUnavailable": "25%", "maxSurge": 0}},
        },
    }


def test_bytes_times_and_negative_numbers() -> None:
    """Bytes become base64; a time with a fraction keeps it; -1 is ten bytes long."""
    secret = field(1, field(1, "s")) + field(2, field(1, "k") + field(2, b"\x00\xff"))
    assert decode_envelope(envelope("v1", "Secret", secret))["data"] == {"k": "AP8="}
    lease = field(2, field(2, -1) + field(4, field(1, 1_700_000_000) + field(2, 250_000_000)))
    spec = decode_envelope(envelope("coordination.k8s.io/v1", "Lease", lease))["spec"]
    assert spec == {"leaseDurationSeconds": -1, "renewTime": "2023-11-14T22:13:20.250000Z"}


def test_options_of_a_deletion_go_by_any_group() -> None:
    """Typed clients name DeleteOptions after the group of what they delete."""
    raw = field(1, 0) + field(2, field(1, "uid"))
    decoded = decode_envelope(envelope("policy/v1", "DeleteOptions", raw))
    assert decoded["gracePeriodSeconds"] == 0
    assert decoded["preconditions"] == {"uid": "uid"}


@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        (b"{}", 400, "lacks the k8s prefix"),
        (NAMESPACE[:-1], 400, "not valid protobuf"),
        (NAMESPACE[:9], 400, "not valid protobuf"),
        (b"k8s\x00" + b"\xff" * 11, 400, "not valid protobuf"),
        (b"k8s\x00\x0b", 400, "wire type 3"),
        (b"k8s\x00" + field(1, 7), 400, "not valid protobuf"),
        (envelope("v1", "Unicorn", b""), 415, "v1 Unicorn is not understood as protobuf"),
        (envelope("v1", "Pod", field(2, field(18, "affinity"))), 415, "field 18 of PodSpec"),
        (envelope("v1", "Pod", field(2, 7)), 400, "bytes are expected"),
    ],
)
def test_what_is_not_understood_is_refused(body: bytes, code: int, says: str) -> None:
    """Torn or foreign bytes are a bad request; a known kind's unknown field is never dropped."""
    with pytest.raises(StatusError, match=says) as refused:
        decode_envelope(body)
    assert refused.value.code == code


@given(st.binary(max_size=60))
def test_any_bytes_are_decoded_or_refused(tail: bytes) -> None:
    """Whatever comes, there is an object or a StatusError, never another failure."""
    for body in (b"k8s\x00" + tail, NAMESPACE + tail, envelope("v1", "Pod", tail)):
        with contextlib.suppress(StatusError):
            assert isinstance(decode_envelope(body), dict)


def test_the_table_of_messages_is_closed() -> None:
    """Every type named in it is a scalar or another message of it; no number stands twice."""
    for name, text in _TEXT.items():
        fields = message(name)
        assert fields is not None
        assert len(fields) == len(text.split(",")), name
        for one in fields.values():
            assert one.type in {*"sibytqx-"} or message(one.type) is not None, (name, one)
