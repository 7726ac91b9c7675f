"""What runs inside Superset's own virtual environment: it may import Superset, and of the rest of the repository nothing."""
