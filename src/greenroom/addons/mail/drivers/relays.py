"""Sends a message through a real SMTP server: one recipient at a time, only to addresses that may be contacted."""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from greenroom.addons.mail.rules import Relay
from greenroom.basics import outgoing

SECONDS, LONGEST = 15.0, 60.0
"""Limits of one step, and of the whole exchange."""


@dataclass(frozen=True)
class Outcome:
    """error: empty if the server took the message. final: a retry is useless."""

    error: str = ""
    final: bool = False


class _Smtp(smtplib.SMTP):
    """SMTP over a connection to an address that has been judged."""

    def __init__(self, relay: Relay, allowed: Sequence[outgoing.Network]) -> None:
        self.relay, self.allowed = relay, allowed
        super().__init__(relay.host, relay.port, local_hostname="greenroom.localhost", timeout=SECONDS)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        context = ssl.create_default_context() if self.relay.tls else None
        return outgoing.stream(host, port, context=context, allowed=self.allowed, seconds=timeout)


def send(
    *, relay: Relay, password: str, sender: str, recipient: str, message: bytes, allowed: Sequence[outgoing.Network]
) -> Outcome:
    """Make one attempt. Raises nothing of the network."""
    try:
        smtp = _Smtp(relay, allowed)
    except (OSError, smtplib.SMTPException, outgoing.OutgoingError) as error:
        return Outcome(_text(error, password), final=getattr(error, "kind", "") == "refused-address")
    deadline = threading.Timer(LONGEST, _cut, (smtp,))
    deadline.daemon = True
    deadline.start()
    try:
        return _exchange(smtp, relay, password, sender, recipient, message)
    except smtplib.SMTPResponseException as error:
        return Outcome(_text(error, password), final=500 <= error.smtp_code < 600)
    except smtplib.SMTPRecipientsRefused as error:
        code, text = next(iter(error.recipients.values()))
        return Outcome(_said(code, text, password), final=500 <= code < 600)
    except (OSError, smtplib.SMTPException, UnicodeError) as error:
        return Outcome(_text(error, password))
    finally:
        deadline.cancel()
        with contextlib.suppress(OSError):
            smtp.close()


def _exchange(smtp: _Smtp, relay: Relay, password: str, sender: str, recipient: str, message: bytes) -> Outcome:
    smtp.ehlo()
    if not relay.tls and smtp.has_extn("starttls"):
        smtp.starttls(context=ssl.create_default_context())
        smtp.ehlo()
    elif not relay.tls and password:
        return Outcome("the server offers no STARTTLS, and the password is not sent in clear", final=True)
    if relay.user:
        smtp.login(relay.user, password)
    options = ["SMTPUTF8", "BODY=8BITMIME"] if not (sender + recipient).isascii() else []
    smtp.sendmail(sender, [recipient], message, mail_options=options)
    with contextlib.suppress(smtplib.SMTPException, OSError):
        smtp.quit()
    return Outcome()


def _said(code: int, text: object, password: str) -> str:
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
    return _without(f"{code} {' '.join(words.split())}", password)


def _text(error: Exception, password: str) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        return _said(error.smtp_code, error.smtp_error, password)
    return _without(str(error) or type(error).__name__, password)


def _without(text: str, password: str) -> str:
    """An error for people: short, and never with the password."""
    return "".join(char if char.isprintable() else " " for char in text.replace(password or "\0", "***"))[:300]


def _cut(smtp: smtplib.SMTP) -> None:
    with contextlib.suppress(OSError, AttributeError):
        smtp.sock.shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]
