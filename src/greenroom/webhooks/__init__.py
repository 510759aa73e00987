"""Webhooks of apps: signed event notifications to a URL, with retries."""
