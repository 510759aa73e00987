"""Certificates for tests: a CA with an intermediate, and leaves of any age, kind and name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID


def pem(thing, password: bytes = b"") -> str:
    """A certificate or private key as text."""
    if isinstance(thing, x509.Certificate):
        return thing.public_bytes(serialization.Encoding.PEM).decode()
    seal = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return thing.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, seal).decode()


def new_key(bits: int = 0):
    return rsa.generate_private_key(65537, bits) if bits else ec.generate_private_key(ec.SECP256R1())


def certificate(
    names=(), *, key, issuer=None, days: tuple[float, float] = (-1, 90), common: str = "test", ca: bool = False
):
    """issuer: (certificate, key) of the signer; self-signed by default. days: start and end of validity, from now."""
    now = datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False
        )
    return builder.sign(issuer[1] if issuer else key, hashes.SHA256())


class Authority:
    """A root and an intermediate below it. ``leaf(names)`` gives (chain, key) as PEM."""

    def __init__(self) -> None:
        self.root_key, self.key = new_key(), new_key()
        self.root = certificate(key=self.root_key, common="Test Root", ca=True)
        self.intermediate = certificate(
            key=self.key, issuer=(self.root, self.root_key), common="Test Intermediate", ca=True
        )

    def leaf(self, *names: str, **more) -> tuple[str, str]:
        key = more.pop("key", None) or new_key()
        made = certificate(names, key=key, issuer=(self.intermediate, self.key), **more)
        return pem(made) + pem(self.intermediate), pem(key)
