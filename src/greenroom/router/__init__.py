"""Routes: the release that receives an app's requests, and the pages shown if there is none."""
