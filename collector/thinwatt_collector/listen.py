"""From the socket to what waits for the commit, a bite at a time."""

from __future__ import annotations

from typing import Final

from thinwatt_collector.receive import Receiver
from thinwatt_collector.step import Step

BITE: Final = 256 << 10
"""What is taken from the socket before it is looked at [B]: it is still near the processor when it is checked."""


def listen(receiver: Receiver, step: Step, timeout_ms: int, hold: int) -> bool:
    """Take what has arrived, and answer at once what is refused; return whether anything had come.

    Args:
        receiver: whom agents talk to.
        step: what sorts their messages.
        timeout_ms: how long to wait for the first message.
        hold: bytes of frames that may wait for the commit; nothing more is received when they do, and after as many
            bytes of whatever else came it is somebody else's turn.
    """
    for n in range(1 + hold // BITE):
        messages = receiver.drain(timeout_ms if n == 0 else 0, BITE)
        if not messages:
            return n > 0
        for reply in step.take(messages):
            receiver.send(reply.route, reply.data)
        if step.uncommitted_bytes >= hold:
            break
    return True
