"""Why a process of dibs does not run."""


class StartError(Exception):
    """dibs cannot start or cannot go on; the text is the one line that the operator should read.

    Whether it `is_misuse`: a setting or a model is wrong, and trying again would not help.
    """

    def __init__(self, text: str, *, is_misuse: bool = False) -> None:
        super().__init__(text)
        self.is_misuse = is_misuse
