"""The test kit: a pytest plugin for code that inserts, retries, enqueues and dies. docs/testing tells how to use it.

Nothing is imported here: `shared.testing.plugin` is loaded by every pytest run of an environment that has dibs,
and costs next to nothing until a test asks for one of its fixtures. Production never imports any of it.
"""
