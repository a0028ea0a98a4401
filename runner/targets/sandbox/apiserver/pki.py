"""Keys of one API server: its own CA, a server certificate, a bearer token in a kubeconfig.

The CA's private key is never written: it signs one certificate and is forgotten. Everything that
is written can be read by the owner only.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import os
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = timedelta(days=365)
CLOCK_TOLERANCE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Identity:
    """What the server shows and what a client must know, as PEM."""

    authority: bytes
    certificate: bytes
    key: bytes


def make_identity(name: str) -> Identity:
    """A new CA, and a certificate of it for 127.0.0.1 and localhost."""
    authority_key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(f"seatrial sandbox {name} CA")
    identifier = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
    authority = (
        _builder(subject, subject, authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(_key_usage(sign_certificates=True), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    key = ec.generate_private_key(ec.SECP256R1())
    names = [
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.IPv4Address("127.0.0.1")),
    ]
    issued_by = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
    certificate = (
        _builder(_name(f"seatrial sandbox {name}"), subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(issued_by, critical=False)
        .add_extension(_key_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Identity(authority.public_bytes(pem), certificate.public_bytes(pem), private)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common[:64])])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_TOLERANCE)
        .not_valid_after(now + LIFETIME)
    )


def _key_usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def server_tls(home: Path, identity: Identity) -> ssl.SSLContext:
    """TLS settings of the server; key and certificate are written to ``home/pki``."""
    folder = home / "pki"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    pair = folder / "server.pem"
    write_private(pair, identity.certificate + identity.key)
    write_private(folder / "ca.pem", identity.authority)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(pair)
    return context


def write_private(path: Path, content: bytes) -> None:
    """Write a file of mode 0600 so that no reader ever sees half of it, or another mode."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    temporary.replace(path)


def kubeconfig(name: str, port: int, token: str, identity: Identity, namespace: str) -> bytes:
    """A kubeconfig with one context, ``seatrial-<name>``, as JSON (which is YAML)."""
    entry = f"seatrial-{name}"
    authority = base64.b64encode(identity.authority).decode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": entry,
                "cluster": {
                    "server": f"https://127.0.0.1:{port}",
                    "certificate-authority-data": authority,
                },
            }
        ],
        "users": [{"name": entry, "user": {"token": token}}],
        "contexts": [
            {
                "name": entry,
                "context": {"cluster": entry, "user": entry, "namespace": namespace},
            }
        ],
        "current-context": entry,
    }
    return json.dumps(config, indent=2).encode() + b"\n"
