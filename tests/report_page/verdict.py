"""What was found wrong, gathered: a page is looked at to the end before it is judged."""

import sys

complaints = []
"""One line each."""


def check(holds, what):
    """Notes `what` unless it `holds`; tells whether it does."""
    if not holds:
        complaints.append(what)
    return bool(holds)


def close(a, b, relative=1e-9, absolute=1e-12):
    """Whether two numbers are the same but for rounding."""
    return abs(a - b) <= max(absolute, relative * max(abs(a), abs(b)))


def give():
    """Ends the program: with 1 and all complaints, or with 0."""
    for complaint in complaints:
        print(f"report_page: {complaint}", file=sys.stderr)
    sys.exit(1 if complaints else 0)
