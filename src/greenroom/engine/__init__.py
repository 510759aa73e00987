"""Where dynos run. ``contract`` says what an engine must do; ``local`` does it on this machine."""
