"""Required checks, their runs, the scan and the verdict."""
