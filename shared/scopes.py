"""What an API key may allow. Apart from the keys, for the command names scopes without opening a database."""

from enum import StrEnum


class Scope(StrEnum):
    """What a key allows; `admin` allows everything, for everybody's jobs.

    `add`: submit, cancel and retry, and look at a job or bulk of one's own by its id, for that is part of adding.
    `read`: look at all that is one's own, at the collections' rows and at the server's numbers.
    """

    ADD = "add"
    READ = "read"
    ADMIN = "admin"
