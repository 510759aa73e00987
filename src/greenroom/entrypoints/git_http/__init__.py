"""Git over HTTP, streamed."""
