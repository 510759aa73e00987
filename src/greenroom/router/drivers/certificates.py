"""Validates an uploaded certificate chain and its private key. Each error has a one-sentence message and a hint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtensionOID, NameOID

from greenroom.basics.clock import heroku_time
from greenroom.basics.errors import UserError

LONGEST = 100_000
MOST = 10
RSA_BITS = 2048
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True)
class Judged:
    """A matching chain and key. names: its host names, including wildcards; chain, key: normalised PEM."""

    chain: str
    key: bytes
    names: tuple[str, ...]
    expires_at: datetime


def judge(*, chain: str, key: str, now: datetime) -> Judged:
    """The chain (leaf first) and key of two PEM texts. UserError with the text that is invalid, and the reason."""
    certificates = _chain(chain)
    private = _key(key)
    leaf = certificates[0]
    _belongs(leaf, private, certificates)
    _holds_now(certificates, now)
    _is_chain(certificates)
    names = names_of(leaf)
    if not names:
        raise UserError(
            "The certificate has no host name: neither a subject alternative name nor a common name.",
            hint='openssl req ... -addext "subjectAltName=DNS:www.example.com"',
        )
    text = "".join(row.public_bytes(Encoding.PEM).decode() for row in certificates)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Judged(text, pem, names, leaf.not_valid_after_utc)


def _chain(text: str) -> list[x509.Certificate]:
    if len(text) > LONGEST:
        raise UserError(
            f"The certificate chain is longer than {LONGEST} characters.",
            hint="include only the certificate and its intermediates",
        )
    if "PRIVATE KEY-----" in text:
        raise UserError(
            "The certificate file contains a private key.",
            hint="pass the certificate first, then the key: heroku certs:add CRT KEY",
        )
    try:
        found = x509.load_pem_x509_certificates(text.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        text = "The certificate file is not PEM: it must begin with -----BEGIN CERTIFICATE-----."
        raise UserError(text, hint="convert DER with: openssl x509 -inform der -in FILE -out FILE.pem") from error
    if len(found) > MOST:
        raise UserError(
            f"The chain has {len(found)} certificates; the limit is {MOST}.",
            hint="include only the intermediates, not the CA bundle",
        )
    return found


def _key(text: str) -> Key:
    if len(text) > LONGEST:
        raise UserError(f"The private key is longer than {LONGEST} characters.")
    try:
        found = load_pem_private_key(text.encode(), None)
    except TypeError as error:
        raise UserError(
            "Encrypted private keys are not supported.",
            hint="remove the passphrase: openssl pkey -in KEY -out KEY.open",
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        hint = (
            "pass the certificate first, then the key: heroku certs:add CRT KEY"
            if "BEGIN CERTIFICATE-----" in text
            else "it must begin with -----BEGIN PRIVATE KEY-----"
        )
        raise UserError("The key file is not a PEM private key.", hint=hint) from error
    if isinstance(found, rsa.RSAPrivateKey) and found.key_size < RSA_BITS:
        raise UserError(
            f"The RSA key has {found.key_size} bits; at least {RSA_BITS} are required.",
            hint="create a new key and certificate",
        )
    if not isinstance(found, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
        raise UserError(
            "This type of private key is not supported.",
            hint="use RSA with at least 2048 bits, ECDSA or Ed25519",
        )
    return found


def _public(row: x509.Certificate | Key) -> bytes:
    return row.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _belongs(leaf: x509.Certificate, private: Key, certificates: Sequence[x509.Certificate]) -> None:
    wanted = _public(private)
    if _public(leaf) == wanted:
        return
    place = next((number for number, row in enumerate(certificates, 1) if _public(row) == wanted), None)
    if place:
        raise UserError(
            f"The key belongs to certificate {place} of the chain, not to the first.",
            hint="put the app's own certificate first, then the intermediates",
        )
    raise UserError(
        f"The private key does not belong to the certificate of {_subject(leaf)}.",
        hint="pass the key that was used for the certificate request: heroku certs:add CRT KEY",
    )


def _holds_now(certificates: Sequence[x509.Certificate], now: datetime) -> None:
    for number, row in enumerate(certificates, 1):
        if row.not_valid_after_utc <= now:
            raise UserError(
                f"Certificate {number} of the chain, {_subject(row)}, expired on"
                f" {heroku_time(row.not_valid_after_utc)}.",
                hint="renew it first",
            )
        if row.not_valid_before_utc > now:
            raise UserError(
                f"Certificate {number} of the chain, {_subject(row)}, is not valid before"
                f" {heroku_time(row.not_valid_before_utc)}.",
                hint="wait until then, or get it issued again",
            )


def _is_chain(certificates: Sequence[x509.Certificate]) -> None:
    for number, (row, issuer) in enumerate(pairwise(certificates), 1):
        try:
            row.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature) as error:
            text = (
                f"Certificate {number + 1} of the chain, {_subject(issuer)}, has not issued certificate {number},"
                f" {_subject(row)}."
            )
            raise UserError(
                text, hint="order: the app's own certificate, its issuer, the issuer of that one; the root is optional"
            ) from error


def _subject(row: x509.Certificate) -> str:
    return _name(row.subject)[:100]


def _name(name: x509.Name) -> str:
    return name.rfc4514_string() or "(without a name)"


def names_of(row: x509.Certificate) -> tuple[str, ...]:
    """The host names of a certificate, in lower case: the alternative names, or the common name of an old one."""
    try:
        found = row.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    except x509.ExtensionNotFound:
        common = row.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return (str(common[0].value).lower(),) if common else ()
    assert isinstance(found, x509.SubjectAlternativeName)
    return tuple(dict.fromkeys(name.lower() for name in found.get_values_for_type(x509.DNSName)))


def covers(names: Sequence[str], hostname: str) -> bool:
    """Whether one of a certificate's names matches the host name; ``*`` matches one label."""
    parent = hostname.partition(".")[2]
    return any(name in (hostname, f"*.{parent}") for name in names)


def described(chain: str) -> dict[str, object]:
    """Issuer, subject and dates of a chain's first certificate; self_signed: whether it is self-signed."""
    leaf = x509.load_pem_x509_certificates(chain.encode())[0]
    return {
        "issuer": _name(leaf.issuer),
        "subject": _name(leaf.subject),
        "self_signed": leaf.issuer == leaf.subject,
        "starts_at": heroku_time(leaf.not_valid_before_utc),
        "expires_at": heroku_time(leaf.not_valid_after_utc),
    }
