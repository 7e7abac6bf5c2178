"""The certificate of the stub's TLS, from an authority that lives as long as the measurement."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

HOST = "127.0.0.1"


class Certificates(NamedTuple):
    """PEM files: the server's certificate with its key, and the root that signed it."""

    server: Path
    root: Path


def write_certificates(folder: Path) -> Certificates:
    """Write a root and a server's certificate of RSA 2048, as those of AWS are."""
    root_key, server_key = (
        rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2)
    )
    issuer = _name("bench")
    root = (
        _begin(issuer, issuer, root_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    server = (
        _begin(_name(HOST), issuer, server_key.public_key())
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))]), critical=False
        )
        .sign(root_key, hashes.SHA256())
    )
    written = Certificates(folder / "server.pem", folder / "root.pem")
    written.root.write_bytes(root.public_bytes(serialization.Encoding.PEM))
    key = server_key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    written.server.write_bytes(server.public_bytes(serialization.Encoding.PEM) + key)
    return written


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _begin(subject: x509.Name, issuer: x509.Name, key: rsa.RSAPublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
    )
