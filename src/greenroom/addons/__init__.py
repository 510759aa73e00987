"""Add-ons and their attachments; one package for each kind."""
