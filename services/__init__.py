"""The shop's services, each with a database of its own. A service imports `services.kit` and never another service."""
