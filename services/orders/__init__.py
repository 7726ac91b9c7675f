"""Orders and their lines. Asks users, products and payments; holds no stock and no money itself."""
