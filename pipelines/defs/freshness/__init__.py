"""How old the data of each hop may be, and the checks that hold them to it."""
