"""The path of one push, config change or rollback to a live release."""
