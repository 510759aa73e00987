"""Routes: which release of an app gets the traffic, and the pages when none does."""
