"""Settings, processes, and the only place that picks drivers."""
