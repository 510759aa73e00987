"""Programs that run in a child process, with the standard library only: the git hooks and the tar reader."""
