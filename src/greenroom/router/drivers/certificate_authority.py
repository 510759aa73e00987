"""Issues automatic certificates (`heroku certs:auto`) from the installation's own CA, for custom domains."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from greenroom.basics.errors import PlatformError

DAYS = 90
RENEW = timedelta(days=30)


def issue(*, home: Path, names: Sequence[str], now: datetime) -> tuple[str, str]:
    """(chain, key) as PEM for the host names. PlatformError if the installation's CA cannot be read."""
    try:
        ca_text = (home / "keys" / "ca.pem").read_bytes()
        ca_key = load_pem_private_key((home / "keys" / "ca.key").read_bytes(), None)
    except (OSError, ValueError) as error:
        raise PlatformError(f"Cannot read the installation's CA: {error}", hint="greenroom doctor") from error
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
    ca = x509.load_pem_x509_certificate(ca_text)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    chain = made.public_bytes(Encoding.PEM).decode() + ca_text.decode()
    return chain, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
