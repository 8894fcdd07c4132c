"""The operator's page: what the api knows, as HTML for people."""
