"""A server installation: Greenroom as a service of systemd, with system users and a home in /var/lib."""
