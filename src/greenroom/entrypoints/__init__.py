"""How the world comes in; no decisions here."""
