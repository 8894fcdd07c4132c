"""The agreement: what the api and the worker must both mean alike."""
