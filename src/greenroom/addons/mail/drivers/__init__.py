"""The servers of the mail traps, connections to them, and the SMTP servers of relays."""
