"""A configuration in TOML: where its keys stand, which there are, and all that is wrong with them.

A program's table of :class:`Key` is the only place that knows a key: :class:`File` reads by it and makes the errors,
the example is written from it. What is wrong is collected and told at once, each with its line.
"""

from thinwatt_agent.places.file import ConfigError, File, Key, meant, read, told, toml
from thinwatt_agent.places.lines import Place, line_of
from thinwatt_agent.places.values import Read, choice, endpoint, filled, maybe, path, shown, text, within

__all__ = [
    "ConfigError", "File", "Key", "Place", "Read", "choice", "endpoint", "filled", "line_of", "maybe", "meant", "path",
    "read", "shown", "text", "told", "toml", "within",
]  # fmt: skip
