"""Payments of orders and their refunds, carried out by a payment provider. Keeps no card data."""
