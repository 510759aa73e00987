"""Volumes: folders of an app whose files outlive its dynos."""
