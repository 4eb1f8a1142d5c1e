"""Certificates for the connections between the services of an installation. `compose.yaml` runs this before they start.

    python -m config.server.certificates /certs postgres redis

writes `ca/ca.crt`, which clients trust, and for each server `server.crt` and `server.key` in a folder of its name. The
authority's key is never stored: it signs only what is written together with it.
"""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID = timedelta(days=825)
RENEW_BEFORE = timedelta(days=90)
CLOCK_SKEW = timedelta(hours=1)
KEY_MODE = 0o640  # the servers read their keys as members of this process's group


def make_certificates(folder: Path, servers: Sequence[str], *, now: datetime) -> bool:
    """Write an authority and a certificate for each server, unless all are valid for 90 more days.

    Return whether new ones were written: then the servers and their clients have to be started again.
    """
    if all(_is_valid(folder, server, now) for server in servers):
        return False
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = _make_authority(authority_key, now)
    for server in servers:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _make_server(server, key, authority, authority_key, now)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        _write(folder / server / "server.key", private, KEY_MODE)
        _write(folder / server / "server.crt", certificate.public_bytes(Encoding.PEM), 0o644)
    _write(folder / "ca" / "ca.crt", authority.public_bytes(Encoding.PEM), 0o644)
    return True


def _is_valid(folder: Path, server: str, now: datetime) -> bool:
    """Return whether a server's certificate is there, signed by the present authority, and doesn't end soon."""
    authority_path, path = folder / "ca" / "ca.crt", folder / server / "server.crt"
    if not (authority_path.exists() and path.exists() and (folder / server / "server.key").exists()):
        return False
    authority = x509.load_pem_x509_certificate(authority_path.read_bytes())
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    is_signed = certificate.issuer == authority.subject
    return is_signed and certificate.not_valid_after_utc > now + RENEW_BEFORE


def _make_authority(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Countinghouse {x509.random_serial_number():x}"[:64])])
    usage = _key_usage(signs_certificates=True)
    return (
        _begin(name, name, key, now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _make_server(
    server: str,
    key: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    now: datetime,
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, server)])
    return (
        _begin(name, authority.subject, key, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(server)]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )


def _begin(
    name: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + VALID)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write a file in one step, so that a server never reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_bytes(content)
    draft.chmod(mode)
    draft.replace(path)


if __name__ == "__main__":
    are_new = make_certificates(Path(sys.argv[1]), sys.argv[2:], now=datetime.now(UTC))
    print("New certificates were written." if are_new else "The certificates are valid.")  # noqa: T201  a command
