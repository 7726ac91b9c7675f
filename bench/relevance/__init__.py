"""How well the search finds what is wanted: judged queries over a fixed catalogue, beside a plain `match`."""
