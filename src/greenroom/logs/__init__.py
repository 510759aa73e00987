"""Logs of apps: output of dynos, requests of the router and events of the platform."""
