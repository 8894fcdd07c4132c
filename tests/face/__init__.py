"""The command, the client and the all-in-one server."""
