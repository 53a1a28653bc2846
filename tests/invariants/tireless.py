"""The collector whose upkeep begins at once and never rests: a year's work in the time of a test.

``python -m tests.invariants.tireless --config FILE``
"""

from __future__ import annotations

import sys
from unittest import mock

from thinwatt_collector import upkeep
from thinwatt_collector.__main__ import main as collector


def main() -> int:
    with mock.patch.multiple(upkeep, EVERY=0.2, REST=0.2):
        return collector(["run", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
