"""Users and their addresses. Knows nothing of what they buy; keeps no password and no session."""
