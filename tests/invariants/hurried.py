"""The agent with shorter patience than in life, and with a wall clock that a test can step.

``python -m tests.invariants.hurried CLOCK --config FILE …``: what is waited for 30 s is waited for 2 s here, so that a
test of two minutes sees as many time-outs as an hour would. The file CLOCK holds what the wall clock is off by [s].
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import zmq

from tests.invariants.wall_clock import steppable
from thinwatt_agent import run
from thinwatt_agent.config import load
from thinwatt_agent.sequence import SECOND, Limits

LIMITS = Limits(timeout=2 * SECOND, shortest=SECOND // 20, longest=SECOND)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("clock", type=Path)
    parser.add_argument("--config", type=Path, action="append")
    options = parser.parse_args()
    logging.basicConfig(level="INFO", format="%(levelname)s %(name)s: %(message)s")
    with steppable(options.clock), zmq.Context() as context:
        run.run([run.build(load(path), context, LIMITS) for path in options.config])


if __name__ == "__main__":
    main()
