"""GLPI to inventory: what the site's asset management knows becomes lines of ours, each with its day.

``export`` reads a CSV file, ``legacy`` and ``v2`` ask the two REST APIs, by ``talk``, and page by ``pages``: all make
:mod:`~.assets`. ``mapping`` is the file that says what GLPI's words mean here. ``places`` and ``wishes`` make of an
asset what our inventory would say of it, ``plan`` compares that with what it says, ``report`` tells it, ``write`` does
it. Only ``talk`` reaches a network, and only ``write`` a disk.
"""
