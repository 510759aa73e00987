"""Buildpacks: detects an app's language and plans its build. Values and readers only: no tables, no Django."""
