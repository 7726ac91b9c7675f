"""From a column of a service to every column of the warehouse, every metric and every tile of a dashboard that hangs on it, and back."""
