"""What was found, read from the public views."""
