"""Accounts, API tokens and the audit log."""

from __future__ import annotations

import uuid

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models


class AccountManager(BaseUserManager["Account"]):
    """Looks up accounts by e-mail address, case-insensitively."""

    def get_by_natural_key(self, username: str | None) -> Account:
        return self.get(email__iexact=username)


class Account(AbstractBaseUser):
    """A user, or a machine user. ``password`` is an Argon2 hash.

    is_active: False while disabled and after the deletion. A deleted account keeps its row, so that the history keeps
    its name; it owns nothing, has no role and is not listed.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.EmailField(unique=True)
    name = models.CharField(max_length=200, blank=True)
    is_admin = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    disabled_at = models.DateTimeField(null=True, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = AccountManager()
    USERNAME_FIELD = "email"

    def __str__(self) -> str:
        return self.email


class Token(models.Model):
    """An API token; only its SHA-256 digest is stored. ``scopes`` are values of accounts.rules.SCOPES.

    app_id: limits the token to one app, None for all. checks: limits the token to reports of these checks, empty for
    all. session: created by a sign-in with browser or password (one of Heroku's sessions).
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="tokens")
    digest = models.CharField(max_length=64, unique=True)
    last_four = models.CharField(max_length=4)
    description = models.CharField(max_length=200, blank=True)
    scopes = models.JSONField(default=list)
    app_id = models.UUIDField(null=True, blank=True, db_index=True)
    checks = models.JSONField(default=list)
    session = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)


class SignIn(models.Model):
    """A CLI sign-in that waits for approval in a browser. Both secrets are stored as SHA-256 digests.

    page: the secret in the page's URL. command: the secret of the CLI. account: the account that approved it, None
    while pending. network: the IPv4 address, or the IPv6 /64 network, for limits.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    page = models.CharField(max_length=64, unique=True)
    command = models.CharField(max_length=64)
    description = models.CharField(max_length=200)
    address = models.CharField(max_length=45, blank=True)
    network = models.CharField(max_length=45, blank=True, default="")
    account = models.ForeignKey(Account, null=True, on_delete=models.CASCADE, related_name="+")
    refused = models.BooleanField(default=False)
    attempts = models.PositiveIntegerField(default=0)
    used_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)


class SSHKey(models.Model):
    """A public key of an account."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="ssh_keys")
    public_key = models.TextField()
    fingerprint = models.CharField(max_length=100, unique=True)
    comment = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)


class AuditEntry(models.Model):
    """A change by a user. Entries are append-only; each contains the hash of the previous one."""

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField()
    account = models.ForeignKey(Account, null=True, on_delete=models.SET_NULL, related_name="+")
    actor = models.CharField(max_length=254)
    action = models.CharField(max_length=80)
    app_id = models.UUIDField(null=True, db_index=True)
    app_name = models.CharField(max_length=30, blank=True)
    address = models.CharField(max_length=45, blank=True)
    detail = models.JSONField(default=dict)
    previous = models.CharField(max_length=64, blank=True)
    hash = models.CharField(max_length=64)
