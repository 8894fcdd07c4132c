"""What the client raises.

DibsError
├── Unsendable    what was given makes no request
├── Unreachable   nobody answered, or only to say "not now", for as long as the client's patience lasts
├── Refused       the server said no; `problem` says why
├── TimedOut      the outcome did not come in time; the job goes on
└── Garbled       whoever answered is not dibs
"""

from shared.contract import JobView
from shared.problems import Problem


class DibsError(Exception):
    """The root of what the client raises."""


class Unsendable(DibsError):  # noqa: N818
    """What was given makes no request; nothing was sent."""


class Unreachable(DibsError):  # noqa: N818
    """Nobody answered, or only to say "not now". An add may have been taken in: repeat it with the same key."""


class Refused(DibsError):  # noqa: N818
    """The server said no: `problem` says why (RFC 9457), `status` is the one of HTTP."""

    def __init__(self, problem: Problem, status: int) -> None:
        super().__init__(problem.detail)
        self.problem = problem
        self.status = status


class TimedOut(DibsError):  # noqa: N818
    """There was no outcome when the time was over. The job goes on: `job` is where it stood, where that is known."""

    def __init__(self, text: str, job: JobView | None) -> None:
        super().__init__(text)
        self.job = job


class Garbled(DibsError):  # noqa: N818
    """Whoever answered is not dibs."""
