"""How large one add may be. The door holds to these; what it took in, a worker takes whatever they are by then."""

from dataclasses import dataclass

from shared.contract import MAX_CANDIDATES

MAX_JSON_DEPTH = 32
"""Far below what a JSON parser takes, for on its way a value gets deeper: into an add, a batch, an envelope."""

MAX_TEXT_CHARS = 16 * 1024 * 1024
MAX_NUMBER_DIGITS = 1000
"""PostgreSQL's NUMERIC takes 131,072 digits before the point and 16,383 after it; nobody counts that far."""


@dataclass(frozen=True)
class Limits:
    """The bounds of one add. The defaults are the hard ones, which settings may lower and never raise."""

    candidates: int = MAX_CANDIDATES
    json_depth: int = MAX_JSON_DEPTH
    """Levels of a JSON column's value; a bare value is one."""
    text_chars: int = MAX_TEXT_CHARS
    """Code points of a text, whatever its column would take."""
    number_digits: int = MAX_NUMBER_DIGITS
    """Digits of an exact number, written out without an exponent."""


HARD = Limits()
