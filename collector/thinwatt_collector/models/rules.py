"""The rules by which two lives share one making: see ``second_life.py``. Without numpy: commands name them as well."""

from __future__ import annotations

from typing import Final, Literal

Rule = Literal["cutoff", "linear", "50_50"]
RULES: Final[tuple[Rule, ...]] = ("cutoff", "linear", "50_50")
DEFAULT: Final[Rule] = "cutoff"
SHARES: Final = {"cutoff": 1.0, "linear": 0.0, "50_50": 0.5}
"""The part of the making that the first life bears by itself; all lives bear the rest evenly [1]."""
