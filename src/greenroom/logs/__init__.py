"""What dynos, the router and the platform say about an app."""
