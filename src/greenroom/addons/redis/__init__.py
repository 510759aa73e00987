"""Key-value stores: a Valkey or Redis server per add-on, in a dyno of its own."""
