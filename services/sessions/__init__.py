"""Sessions of people, and the access tokens of people and services. Knows no password and no profile; keeps no database."""
