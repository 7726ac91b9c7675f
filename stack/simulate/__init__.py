"""A past for the shop: years of orders, payments, stock and visits, written by bulk paths and the same for the same seed."""
