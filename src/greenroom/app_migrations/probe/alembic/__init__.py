"""The probe for apps with Alembic: standard library and the app's own Alembic only. Runs inside a dyno."""
