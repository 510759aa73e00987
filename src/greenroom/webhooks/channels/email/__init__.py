"""E-mail through the SMTP server of the installation, by Django's mail."""

from __future__ import annotations

import smtplib
from collections.abc import Sequence
from email.utils import formatdate
from typing import Any
from urllib.parse import unquote

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage, get_connection
from django.core.validators import validate_email

from greenroom.basics import outgoing
from greenroom.webhooks.channels.kind import Message, Outcome, Problem
from greenroom.webhooks.rules import mail_server

SECONDS = 15
FORM = "must be mailto:NAME@HOST, one address"
UNSET = Problem(
    text="is an e-mail address, and this installation has no mail server",
    hint=f"the operator sets one: {mail_server.SETTING}=smtps://USER:PASSWORD@HOST greenroom up",
)


class Email:
    """One message of plain text to one address."""

    name = "email"
    schemes = ("mailto",)
    hidden = True

    def problem(self, url: str, allowed: Sequence[outgoing.Network]) -> Problem | None:
        """Checks the address, and that there is a mail server."""
        try:
            validate_email(_address(url))
        except ValidationError:
            return Problem(text=FORM, hint="mailto:ops@example.com")
        return None if settings.MAIL_SERVER else UNSET

    def shown(self, url: str) -> str:
        """The URL: an address is no secret."""
        return f"mailto:{_address(url)}"[:200]

    def deliver(self, url: str, message: Message, allowed: Sequence[outgoing.Network]) -> Outcome:
        """Success: the server took the message. A refusal for good is not tried again."""
        server = settings.MAIL_SERVER
        if server is None:
            return Outcome(error="no-mail-server")
        connection = get_connection(
            "django.core.mail.backends.smtp.EmailBackend",
            host=server.host,
            port=server.port,
            username=server.user,
            password=server.password,
            use_tls=server.tls,
            use_ssl=server.ssl,
            timeout=SECONDS,
        )
        try:
            _letter(_address(url), message, connection).send()
        except smtplib.SMTPAuthenticationError:
            return Outcome(error="refused-sign-in")
        except smtplib.SMTPRecipientsRefused as error:
            return Outcome(error="refused-recipient", again=any(code < 500 for code, _ in error.recipients.values()))
        except smtplib.SMTPResponseException as error:
            return Outcome(error="refused-message", again=error.smtp_code < 500)
        except (OSError, smtplib.SMTPException, UnicodeError):
            return Outcome(error="no-connection")
        return Outcome()


def _address(url: str) -> str:
    """The address of ``mailto:``, also with slashes."""
    return unquote(url.partition(":")[2].removeprefix("//").rstrip("/"))


def _letter(address: str, message: Message, connection: Any) -> EmailMessage:
    """The message, with the id of its delivery: a repetition is recognised as such."""
    data = message.body.get("data") or {}
    delivery = (message.body.get("webhook_metadata") or {}).get("delivery", {}).get("id", message.body.get("id", ""))
    sender = settings.MAIL_FROM
    headers = {
        "Message-ID": f"<{delivery}@{sender.rpartition('@')[2].rstrip('>')}>",
        "Date": formatdate(),
        "Auto-Submitted": "auto-generated",
    }
    subject = " ".join(str(data.get("subject") or "An event of Greenroom").split())
    text = str(data.get("text") or "")
    return EmailMessage(subject[:250], text, sender, [address], connection=connection, headers=headers)


CHANNEL = Email()
