"""Accounts, API tokens, SSH keys, sign-ins and the audit log."""
