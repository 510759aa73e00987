"""The TLS contexts of the web process: the installation's certificate, and for the rendezvous server the router's
certificates of the base domain and its alias.
"""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import Any

from greenroom.router.drivers import router_certificates
from greenroom.router.rules import public_names

log = logging.getLogger(__name__)


def context(home: Path) -> ssl.SSLContext:
    """The context with the certificate of the installation's own CA."""
    return _loaded(home / "keys" / "tls.pem", home / "keys" / "tls.key")


def _loaded(chain: Path, key: Path) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.load_cert_chain(chain, key)
    return made


def with_public_names(home: Path, installation: dict[str, Any]) -> ssl.SSLContext:
    """The same context. A client that asks for one of the installation's own names gets the certificate that the router
    has for it from an ACME CA, if there is one.
    """
    made, names = context(home), public_names.own_names(installation)
    kept: dict[Path, tuple[int, ssl.SSLContext]] = {}

    def choose(connection: Any, name: str | None, _: ssl.SSLContext) -> None:
        chain = router_certificates.newest(home, name) if name in names else None
        if chain is None:
            return
        try:
            changed = chain.stat().st_mtime_ns
            if kept.get(chain, (0, made))[0] != changed:
                found = _loaded(chain, chain.with_suffix(".key"))
                found.options |= ssl.OP_NO_RENEGOTIATION
                kept[chain] = (changed, found)
            connection.context = kept[chain][1]
        except OSError as error:  # ssl.SSLError is an OSError
            log.warning("cannot read the certificate of %s: %s", name, error)

    made.sni_callback = choose
    return made
