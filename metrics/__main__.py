"""`python -m metrics` writes what is made of dbt/metrics.yml and checked in."""

import sys

from metrics.contracts import contracts
from metrics.definitions import load
from metrics.metric import MetricError
from metrics.written import files


def main() -> int:
    """Write the files; 1 with one line when a definition is wrong."""
    try:
        made = files(load(contracts()))
    except MetricError as error:
        print(f"metrics: {error}", file=sys.stderr)
        return 1
    for path, content in made.items():
        path.write_text(content)
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
