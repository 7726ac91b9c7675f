"""The catalogue: categories, products, prices, stock and the reservations of orders. Never sells what is not there."""
