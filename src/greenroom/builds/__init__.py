"""Compile: from a push to a slug."""
