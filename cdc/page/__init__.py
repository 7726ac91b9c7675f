"""The status page: the way of the data, what is wrong on it, and what mends it, for whoever is on call.

It asks the same parts as `millrace cdc status` and knows no table and no service by name. It changes nothing but dead letters, and
these only when a person says so.
"""
