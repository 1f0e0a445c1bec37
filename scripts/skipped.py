# SPDX-License-Identifier: MIT
"""Lists what the last `meson test` of a build skipped, and why; it must not know the tests.

usage: skipped.py <build directory>
One line per reason. Exit status 1 if a test gives none.
"""
import argparse
import collections
import json
import pathlib
import re
import sys

REASON = re.compile(r"SKIP:? +(\S.*)", re.IGNORECASE)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    log = parser.parse_args().build / "meson-logs" / "testlog.json"
    tests = [json.loads(line) for line in log.read_text().splitlines()]
    found = collections.defaultdict(list)
    for test in tests:
        if test["result"] == "SKIP":
            reason = REASON.search(test.get("stdout") or "")
            found[reason.group(1).strip() if reason else ""].append(test["name"].split(" / ")[-1])
    for reason, names in found.items():
        some = ", ".join(names[:3]) + (", .." if len(names) > 3 else "")
        print(f"  SKIP {len(names)} ({some}): {reason or 'no reason is given'}")
    return 1 if "" in found else 0


if __name__ == "__main__":
    sys.exit(main())
