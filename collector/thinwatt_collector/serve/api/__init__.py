"""/api/v1: what the ledger holds, for programs. What a role may see is decided in one place, ``privacy.py``."""
