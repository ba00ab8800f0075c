"""What is checked of each answer, and counted; loaded by the tester itself (SCHEMATHESIS_HOOKS).

FERROFORM_FORBIDDEN: words, separated by commas, that no answer to this role may hold.
FERROFORM_COUNTS: the file to which the counts are written.
"""

import atexit
import collections
import json
import os
import threading

import schemathesis

FORBIDDEN = [word for word in os.environ.get("FERROFORM_FORBIDDEN", "").split(",") if word]
TRACES = ("stack backtrace", "panicked at", "RUST_BACKTRACE", "src/lib.rs:", "sqlx::")
STATUSES = collections.Counter()
# Methods and paths of the document that were answered with success.
REACHED = set()
LOCK = threading.Lock()


@schemathesis.check
def tells_nothing_foreign(ctx, response, case):
    """No server error, no stack trace, and nothing of the other organization."""
    answer = response.content.decode("utf-8", "replace") + str(response.headers)
    with LOCK:
        STATUSES[response.status_code] += 1
        if response.status_code < 400:
            REACHED.add(f"{case.method} {case.path}")
    asked = json.dumps([case.path_parameters, case.query, str(case.body)], default=str)
    for word in FORBIDDEN:
        # What the request itself says may be repeated to it.
        if word in answer and word not in asked:
            raise AssertionError(f"the answer holds {word!r}, which is another organization's")
    for trace in TRACES:
        if trace in answer and trace not in asked:
            raise AssertionError(f"the answer holds a stack trace: {trace!r}")


@atexit.register
def write_counts():
    with open(os.environ["FERROFORM_COUNTS"], "w", encoding="utf-8") as file:
        json.dump({"statuses": STATUSES, "reached": sorted(REACHED)}, file)
