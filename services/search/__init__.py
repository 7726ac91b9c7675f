"""Search over the product documents: full text, facets, highlighting, tolerance of typing errors. Reads only."""
