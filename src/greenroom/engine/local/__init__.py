"""The local engine: supervisor, shims, bubblewrap."""
