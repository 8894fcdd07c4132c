"""The Python client: one dialogue with the server, spoken by an async and by a sync face."""
