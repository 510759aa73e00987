"""Buildpacks: what an app is written in and how it becomes a slug. Values and readers only; no tables, no Django,
nothing is run here.
"""
