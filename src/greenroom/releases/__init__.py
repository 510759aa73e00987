"""Releases v1, v2 ...: slug and config version, never changed again."""
