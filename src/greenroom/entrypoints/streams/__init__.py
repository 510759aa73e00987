"""Log streams, output streams and attached dynos."""
