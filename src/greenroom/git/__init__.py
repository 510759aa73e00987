"""Bare repositories, pushes and the rules of branches."""
