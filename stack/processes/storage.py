"""Make or migrate Dagster's tables, as a program: three processes that make them at once trip over each other."""

from dagster import DagsterInstance


def main() -> None:
    """Bring the storage of the instance in DAGSTER_HOME to this version's tables."""
    with DagsterInstance.get() as instance:
        instance.upgrade()


if __name__ == "__main__":
    main()
