"""What every room may use: errors, clock, ids, signing, child processes. Standard library only."""
