"""Routes, and the certificates of custom domains."""

from __future__ import annotations

import uuid

from django.db import models

from greenroom.apps.models import App, Domain
from greenroom.releases.models import Release


class Route(models.Model):
    """The target of an app's requests: the sockets of healthy web dynos, or an error page. The disk is derived from it.

    sockets: paths relative to home. page: one of router.rules.PAGES, empty when sockets serve.
    """

    app = models.OneToOneField(App, on_delete=models.CASCADE, related_name="route")
    release = models.ForeignKey(Release, null=True, on_delete=models.SET_NULL, related_name="+")
    sockets = models.JSONField(default=list)
    page = models.CharField(max_length=20, blank=True)
    generation = models.PositiveIntegerField(default=0)
    switched_at = models.DateTimeField(null=True, blank=True)


class SniEndpoint(models.Model):
    """A certificate with its chain, for some of an app's domains. ``sealed`` is the private key, encrypted with the
    app's data key.

    issued: an automatic certificate from the installation's own CA (Heroku's ACM).
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="sni_endpoints")
    name = models.CharField(max_length=60, unique=True)
    chain = models.TextField()
    sealed = models.BinaryField()
    names = models.JSONField(default=list)
    expires_at = models.DateTimeField()
    issued = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)


class DomainCertificate(models.Model):
    """The certificate of a custom domain."""

    domain = models.OneToOneField(Domain, on_delete=models.CASCADE, related_name="certificate")
    endpoint = models.ForeignKey(SniEndpoint, on_delete=models.CASCADE, related_name="uses")
