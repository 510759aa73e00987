"""Entry points: the HTTP API, web pages, git over HTTP and streams. They make no decisions."""
