"""Content-addressed artefacts: what was built, tested and is deployed."""
