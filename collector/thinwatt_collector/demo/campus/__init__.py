"""A made-up university: 750 seats, 300 PCs, six hosts, a French academic year, and what each device truly drew.

Everything follows from a seed, a name and a time: no draw of one device moves those of another, and a week made alone
is the same as that week within a year. Nothing here is a measurement; it is marked as simulated wherever it shows.
"""
