"""Limits: at each, one past it, and the clear error."""
