"""Users, their addresses and accounts. Knows nothing of what they buy; keeps no session, and of a password the hash only."""
