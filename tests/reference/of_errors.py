"""Every kind of problem: what its own page at the server says, on one page."""

from collections.abc import Iterator
from itertools import groupby

from shared.problem_kinds import ABOUT, About


def kinds() -> Iterator[str]:
    yield "| `type` | seen as | title |"
    yield "|---|---|---|"
    for about in ABOUT.values():
        seen = about.status.value if about.status else "`error`"
        yield f"| [`{about.page}`](#{about.kind}) | {seen} | {about.title} |"
    for is_answer, group in groupby(ABOUT.values(), lambda about: about.status is not None):
        yield ""
        yield "## Answers" if is_answer else "## Outcomes"
        for about in group:
            yield from _section(about)


def _section(about: About) -> Iterator[str]:
    seen = f"{about.status.value} {about.status.phrase}" if about.status else "The `error` of a job that failed"
    yield ""
    yield f"### {about.kind}"
    yield ""
    yield f"*{about.title}.* {seen}."
    yield ""
    yield f"{about.meaning}"
    yield ""
    yield f"**What to do:** {about.remedy}"
