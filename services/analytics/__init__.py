"""What shoppers do and what the marts say of it. Records events; computes no number that a mart defines already."""
