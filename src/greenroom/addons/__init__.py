"""Add-ons and their attachments; one folder per kind."""
