"""Webhooks of apps: what happened, told to a URL, signed and retried."""
