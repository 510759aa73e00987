"""The program of a mail trap: an SMTP server that keeps each message as a file. Standard library only."""
