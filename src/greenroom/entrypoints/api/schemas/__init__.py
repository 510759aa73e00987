"""What the API takes and gives, as JSON schemas: declared in short words, served at /schema, held by the tests."""
