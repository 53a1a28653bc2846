"""thinwatt's agent: reads what a machine says of its power and load, and loses none of it on the way."""

__version__ = "0.1.0"
