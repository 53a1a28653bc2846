"""How long virtual processors waited for real ones: one number from what each hypervisor counts in its own unit.

References:
    VMware KB 2002181 (ready time); libvirt, ``domstats --vcpu`` (``vcpu.<n>.delay``); Linux, accounting/psi.rst.
"""

from __future__ import annotations

import numpy as np

from thinwatt_collector.units import Ratio, Seconds


def waiting_share(waited: Seconds, elapsed: Seconds, processors: int = 1) -> Ratio:
    """Return the share of time that was spent waiting [1].

    For CPU ready, co-stop, steal and run delay, and for the pressure totals of Linux (``processors`` = 1).

    Args:
        waited: counted in ``elapsed`` by all processors together [s].
        elapsed: measured length of the interval [s].
        processors: virtual processors that the waiting is summed over.

    Raises:
        ValueError: an interval without length.

    2,000 ms of ready time in 20 s, of one processor and of four together:

    >>> ready, interval = np.array(2.0), np.array(20.0)
    >>> float(waiting_share(ready, interval)), float(waiting_share(ready, interval, 4))
    (0.1, 0.025)
    """
    if np.any(elapsed <= 0):
        raise ValueError("the interval has no length: take two readings with time between them")
    share: Ratio = waited / (elapsed * processors)
    return share
