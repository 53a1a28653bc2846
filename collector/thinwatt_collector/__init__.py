"""thinwatt's collector: turns what agents counted into kWh and CO2e, keeps it and shows it."""
