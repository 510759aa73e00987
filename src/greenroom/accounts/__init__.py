"""People, API tokens, SSH keys, roles and the audit log."""
