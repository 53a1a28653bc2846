"""What stands where: establishments, sites, buildings, rooms, hosts, pools, seats, models, devices; a folder of files.

``files`` reads bytes to cells, ``tables`` cells to records, ``names`` tells which names may mean one thing, ``check``
what is wrong and what to write instead, ``campus`` what was true on a day, ``forecast`` what it may draw in a year.
Nothing in here raises because of what a file holds: it becomes a :class:`~.messages.Problem` with file, line and key.
"""
