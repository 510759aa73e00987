"""Routes."""

from __future__ import annotations

from django.db import models

from greenroom.apps.models import App
from greenroom.releases.models import Release


class Route(models.Model):
    """Where an app's requests go: the sockets of healthy web dynos, or a page that says why there are none. The row is the truth.

    sockets: paths relative to home. page: one of router.rules.PAGES, empty when sockets serve.
    """

    app = models.OneToOneField(App, on_delete=models.CASCADE, related_name="route")
    release = models.ForeignKey(Release, null=True, on_delete=models.SET_NULL, related_name="+")
    sockets = models.JSONField(default=list)
    page = models.CharField(max_length=20, blank=True)
    generation = models.PositiveIntegerField(default=0)
    switched_at = models.DateTimeField(null=True, blank=True)
