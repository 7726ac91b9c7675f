"""A payment provider to play with: a process of its own that stands where a real one would. It moves no money.

Any token is good but those that ask for a fault (`faults.py` lists them), and faults can also be switched on by
probability for everybody, over HTTP. It knows nothing of the shop's databases.
"""
