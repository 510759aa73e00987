"""An app's source, the calls of its webhook, and the reports to its forge."""

from __future__ import annotations

import uuid

from django.db import models

from greenroom.accounts.models import Account
from greenroom.apps.models import App
from greenroom.deliveries.models import Delivery


class Source(models.Model):
    """The external repository that an app follows; at most one per app.

    ``key``, ``token``, ``secret`` and ``previous`` are encrypted. kind: name of a forge. key: a private deploy key,
    public_key its public half; username: for the token over https. known_hosts: the host's ssh keys, given or learned
    at the first connection. api: root of the forge's API, empty if it has none.
    hook: the secret part of its webhook's path; previous: the previous secret, valid until previous_until. interval:
    seconds between fetches, 0 for never. wanted_at: last request of a fetch; next_at: latest time of the next fetch.
    state: new, synced, failing, refused, rewritten; problem and hint explain it. seen: the branch's commit there;
    taken: the last commit delivered here; accepted: a commit that a user (accepted_by) accepted although the branch
    drops others.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    app = models.OneToOneField(App, on_delete=models.CASCADE, related_name="source")
    url = models.CharField(max_length=500)
    branch = models.CharField(max_length=200)
    kind = models.CharField(max_length=10)
    username = models.CharField(max_length=100, blank=True)
    key = models.BinaryField(default=b"")
    public_key = models.TextField(blank=True)
    token = models.BinaryField(default=b"")
    known_hosts = models.TextField(blank=True)
    api = models.CharField(max_length=500, blank=True)
    hook = models.CharField(max_length=64, unique=True)
    secret = models.BinaryField()
    previous = models.BinaryField(default=b"")
    previous_until = models.DateTimeField(null=True, blank=True)
    interval = models.PositiveIntegerField()
    account = models.ForeignKey(Account, null=True, on_delete=models.SET_NULL, related_name="+")
    state = models.CharField(max_length=10, default="new")
    problem = models.TextField(blank=True)
    hint = models.TextField(blank=True)
    failures = models.PositiveIntegerField(default=0)
    seen = models.CharField(max_length=40, blank=True)
    taken = models.CharField(max_length=40, blank=True)
    accepted = models.CharField(max_length=40, blank=True)
    accepted_by = models.ForeignKey(Account, null=True, on_delete=models.SET_NULL, related_name="+")
    wanted_at = models.DateTimeField(null=True, blank=True)
    looked_at = models.DateTimeField(null=True, blank=True)
    next_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)


class HookCall(models.Model):
    """A signed webhook call, by the forge's delivery id; kept for 35 days. said: the response to it."""

    source = models.ForeignKey(Source, on_delete=models.CASCADE, related_name="calls")
    delivery = models.CharField(max_length=100)
    event = models.CharField(max_length=60)
    said = models.CharField(max_length=200)
    at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["source", "delivery"], name="one_call_per_delivery")]


class Report(models.Model):
    """A report to the forge about a delivery: a commit status or a deployment state. The row is written before the
    request.

    kind: status, deployment; context: the status's name or the deployment's environment; state: rules.STATES.
    status: pending, sent, failed, dropped (replaced by a newer one). remote: the forge's id of the deployment.
    """

    source = models.ForeignKey(Source, on_delete=models.CASCADE, related_name="reports")
    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=10)
    context = models.CharField(max_length=120)
    state = models.CharField(max_length=12)
    description = models.CharField(max_length=140, blank=True)
    status = models.CharField(max_length=10, default="pending")
    attempts = models.PositiveIntegerField(default=0)
    code = models.PositiveIntegerField(null=True)
    error = models.CharField(max_length=300, blank=True)
    remote = models.CharField(max_length=40, blank=True)
    next_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        indexes = [models.Index(fields=["source", "status", "next_at"], name="reports_due")]
