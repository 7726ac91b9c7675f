"""What must hold across the services at every moment, looked at from outside: no service reads another's database.

Reads as a role of its own that can change nothing. Finds and names; mends nothing.
"""
