"""Why a process of dibs does not run."""


class StartError(Exception):
    """dibs cannot start or cannot go on; the text is the one line that the operator should read."""
