"""The face: the `dibs` command, the Python client and the all-in-one server."""
