"""Apps, their domains and collaborators."""

from __future__ import annotations

import uuid

from django.db import models

from greenroom.accounts.models import Account


class App(models.Model):
    """An app (a tenant). ``number`` gives its system uid and is never reused. ``settings``: the policy from
    greenroom.toml. ``bare``: created without the add-ons that new apps get. ``buildpacks``: names that a user has
    chosen, in order; None if nobody has chosen. ``egress``: open, or closed: dynos reach the targets of the rules only.
    ``egress_at``: the last change that dynos notice.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    number = models.PositiveIntegerField(unique=True)
    name = models.CharField(max_length=30, unique=True)
    owner = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="owned_apps")
    protected_branch = models.CharField(max_length=100, default="master")
    required_checks = models.JSONField(default=list)
    stack = models.CharField(max_length=30, default="greenroom-1")
    buildpacks = models.JSONField(null=True, default=None)
    settings = models.JSONField(default=dict)
    acm = models.BooleanField(default=False)
    https = models.BooleanField(default=False)
    bare = models.BooleanField(default=False)
    maintenance = models.BooleanField(default=False)
    egress = models.CharField(max_length=10, default="open", db_default="open")
    egress_at = models.DateTimeField(null=True, blank=True)
    deploy_paused = models.CharField(max_length=300, blank=True)
    deploy_paused_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    released_at = models.DateTimeField(null=True, blank=True)

    @property
    def log_folder(self) -> str:
        """The folder of its log, relative to home."""
        return f"logs/apps/{self.id.hex}"

    @property
    def repo_folder(self) -> str:
        """Its bare repository, relative to home."""
        return f"repos/{self.id.hex}.git"


class AppTombstone(models.Model):
    """The name and number of a destroyed app. The name is reserved for its owner for 90 days; the number is never
    reused.
    """

    name = models.CharField(max_length=30, db_index=True)
    number = models.PositiveIntegerField(unique=True)
    owner = models.ForeignKey(Account, null=True, on_delete=models.SET_NULL, related_name="+")
    at = models.DateTimeField()


class Domain(models.Model):
    """A custom domain of the app. Normalized: lower case, punycode, no trailing dot."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="domains")
    hostname = models.CharField(max_length=253, unique=True)
    kind = models.CharField(max_length=10, default="custom")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)


class EgressRule(models.Model):
    """A target that the app's dynos may reach under a closed policy, normalized by ``basics.targets``. port 0: all."""

    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="egress_rules")
    host = models.CharField(max_length=260)
    port = models.PositiveIntegerField()
    account = models.ForeignKey(Account, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["app", "host", "port"], name="one_rule_per_target")]


class Collaborator(models.Model):
    """The role of an account in an app: viewer, developer or operator."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="collaborators")
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="collaborations")
    role = models.CharField(max_length=10)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["app", "account"], name="one_role_per_account")]


class Invitation(models.Model):
    """A link by which a person makes an account for an e-mail address, once and until ``expires_at``.

    digest: of the secret in the link, which is not stored. app, role: the account's access; None and '' for no role.
    is_admin: an administrator of the installation. inviter: the e-mail address of the administrator.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    digest = models.CharField(max_length=64, unique=True)
    email = models.EmailField()
    is_admin = models.BooleanField(default=False)
    app = models.ForeignKey(App, null=True, on_delete=models.CASCADE, related_name="invitations")
    role = models.CharField(max_length=10, blank=True)
    inviter = models.CharField(max_length=254)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["email"],
                condition=models.Q(accepted_at=None, revoked_at=None),
                name="one_pending_invitation",
            )
        ]


class AppTransfer(models.Model):
    """An offer of an app to another account. state: pending, accepted or declined; at most one pending per app."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="transfers")
    owner = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+")
    recipient = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+")
    state = models.CharField(max_length=10, default="pending")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["app"], condition=models.Q(state="pending"), name="one_pending_transfer")
        ]
