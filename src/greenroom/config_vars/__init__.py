"""Config vars of an app: versions, encrypted at rest."""
