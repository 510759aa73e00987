"""The desired formation and the observed dynos."""
