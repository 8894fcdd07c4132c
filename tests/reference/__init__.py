"""What docs/reference says of settings, HTTP and errors, written from the code that knows it."""
