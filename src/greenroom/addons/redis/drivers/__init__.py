"""The servers of the key-value stores, and connections to them."""
