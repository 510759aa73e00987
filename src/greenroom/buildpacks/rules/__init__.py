"""What a commit asks for and what it gets: pure functions of the files that it brings."""
