"""What a statement does, as the first word of its text, or after the subqueries that stand in front, tells."""

import re

_WRITES = re.compile(r"\b(insert\s+into|update|delete\s+from)\b", re.IGNORECASE)


def verb_of(statement: str) -> str:
    """`insert`, `select` or another word, in small letters; of a `WITH` what it writes, and `select` if nothing."""
    words = statement.split(maxsplit=1)
    verb = words[0].lower() if words else ""
    if verb != "with":
        return verb
    writes = _WRITES.search(statement)
    return writes[0].split()[0].lower() if writes else "select"
