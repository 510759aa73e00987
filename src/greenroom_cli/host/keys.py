"""The secrets of an installation: keys, passwords, the local CA and its certificate. Existing ones are kept."""

from __future__ import annotations

import base64
import os
import secrets
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from greenroom.basics import atomic
from greenroom_cli.host.names import alias

CA_DAYS, LEAF_DAYS, RENEW_DAYS = 3650, 800, 30
FORWARDS = "forwards.pem"
"""The file in which engines look for the certificate of forwards (``artefacts.CERTIFICATE``)."""
RENEW_FORWARDS_DAYS = LEAF_DAYS // 2
"""A dyno keeps the certificate of its start. It is replaced so early that no dyno lives until its end."""


LOCAL = ("localhost", "*.localhost")
HEROKU = ("heroku.com", "*.heroku.com")
"""Host names of the TLS port behind the proxy. They are in the certificate only while a proxy is configured."""


def make_all(
    home: Path,
    owner: tuple[int, int] | None,
    *,
    proxied: bool = False,
    host: str = LOCAL[0],
    domain: str = LOCAL[0],
    own: bool = True,
) -> None:
    """Create the missing secrets. ``owner``: (uid, gid) of the control user in root mode; ``host``: the host name for
    other computers; ``domain``: the base domain of apps; ``own``: whether the local CA issues their certificates.
    """
    keys = home / "keys"
    for name, text in (
        ("master.key", base64.b64encode(os.urandom(32)).decode()),
        ("secret.key", secrets.token_urlsafe(48)),
        ("postgres.password", secrets.token_hex(24)),
        ("platform.password", secrets.token_hex(24)),
    ):
        _create(keys / name, text.encode(), 0o600, owner)
    apps = (domain, f"*.{domain}", alias(domain)) if own else ()
    more = dict.fromkeys((*(HEROKU if proxied else ()), host, *apps))
    _certificates(keys, owner, tuple(name for name in more if name not in LOCAL))
    _forwards(keys / FORWARDS, owner)
    _publish(keys / "ca.pem", home / "ca.pem")


def _publish(source: Path, target: Path) -> None:
    """Copy the CA certificate to a path that all users of this machine can read, unlike ``keys``."""
    atomic.write(target, source.read_bytes())


def _create(path: Path, data: bytes, mode: int, owner: tuple[int, int] | None) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        return
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)
    if owner:
        os.chown(path, *owner)


def _certificates(keys: Path, owner: tuple[int, int] | None, more: tuple[str, ...]) -> None:
    if not (keys / "ca.pem").exists():
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Greenroom local CA")])
        certificate = _certificate(name, name, key.public_key(), key, CA_DAYS, ca=True)
        _create(keys / "ca.key", _pem(key), 0o600, owner)
        _create(keys / "ca.pem", certificate.public_bytes(serialization.Encoding.PEM), 0o644, owner)
    wanted = (*LOCAL, *more)
    if _needs_leaf(keys / "tls.pem", wanted, RENEW_DAYS):
        leaf_key, leaf = _leaf(keys, wanted)
        for path in (keys / "tls.key", keys / "tls.pem"):
            path.unlink(missing_ok=True)
        _create(keys / "tls.key", leaf_key, 0o600, owner)
        _create(keys / "tls.pem", leaf, 0o644, owner)


def _forwards(path: Path, owner: tuple[int, int] | None) -> None:
    """The certificate for TLS inside of dynos, at 127.0.0.1. Its key and it are in one file, which is replaced at once.

    Its key is not that of ``tls.key``: shims, which run next to the code of apps, know it.
    """
    if _needs_leaf(path, LOCAL[:1], RENEW_FORWARDS_DAYS):
        atomic.write(path, b"".join(_leaf(path.parent, LOCAL[:1])), mode=0o600)
    if owner:
        os.chown(path, *owner)


def names_of(path: Path) -> set[str]:
    """The host names of a certificate in PEM."""
    known = x509.load_pem_x509_certificate(path.read_bytes())
    names = known.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return set(names.get_values_for_type(x509.DNSName))


def _needs_leaf(path: Path, names: tuple[str, ...], days: int) -> bool:
    if not path.exists() or names_of(path) != set(names):
        return True
    known = x509.load_pem_x509_certificate(path.read_bytes())
    return known.not_valid_after_utc - datetime.now(UTC) < timedelta(days=days)


def _leaf(keys: Path, names: tuple[str, ...]) -> tuple[bytes, bytes]:
    """A new private key and its certificate, in PEM."""
    ca = x509.load_pem_x509_certificate((keys / "ca.pem").read_bytes())
    ca_key = serialization.load_pem_private_key((keys / "ca.key").read_bytes(), None)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    certificate = _certificate(name, ca.subject, key.public_key(), ca_key, LEAF_DAYS, ca=False, names=names)
    return _pem(key), certificate.public_bytes(serialization.Encoding.PEM)


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    key: ec.EllipticCurvePrivateKey,
    days: int,
    *,
    ca: bool,
    names: tuple[str, ...] = (),
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=0 if ca else None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    if ca:
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        return builder.add_extension(usage, critical=True).sign(key, hashes.SHA256())
    subjects: list[x509.GeneralName] = [x509.DNSName(text) for text in names]
    subjects += [x509.IPAddress(ip_address(text)) for text in ("127.0.0.1", "::1")]
    builder = builder.add_extension(x509.SubjectAlternativeName(subjects), critical=False)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    return builder.sign(key, hashes.SHA256())


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
