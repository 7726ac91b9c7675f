"""A payment provider to play with: a process of its own that stands where a real one would. It moves no money.

Tokens decide: `tok_declined` is declined, `tok_lost` is captured but the first answer never comes (so that the caller
must ask again by reference), any other token is captured. It knows nothing of the shop's databases.
"""
