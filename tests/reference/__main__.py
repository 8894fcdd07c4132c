"""`python -m tests.reference [--write]`: say which pages are out of date, or bring them up to date."""

import argparse
import sys

from tests.reference.pages import PAGES, ROOT, written_anew


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.reference", description="The generated parts of the docs.")
    parser.add_argument("--write", action="store_true", help="bring the pages up to date")
    given = parser.parse_args()
    is_old = False
    for page in PAGES:
        text = written_anew(page)
        if text == page.read_text():
            continue
        is_old = True
        sys.stdout.write(f"{page.relative_to(ROOT)} {'is written anew' if given.write else 'is out of date'}\n")
        if given.write:
            page.write_text(text)
    return int(is_old and not given.write)


if __name__ == "__main__":
    sys.exit(main())
