"""JSON schemas of the API's requests and responses: declared in a short form, served at /schema, checked by tests."""
