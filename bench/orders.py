"""The table that backfill and verify are measured on: orders of seven columns, as in the figures to beat."""

TABLE = """
CREATE TABLE public.orders (
    id bigint PRIMARY KEY, customer_id bigint NOT NULL, status text NOT NULL, total numeric(12, 2) NOT NULL,
    created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, note text
);
"""


def insert(count: int) -> str:
    """One statement that inserts so many orders, every third without a note."""
    return f"""
    INSERT INTO public.orders
    SELECT n, n * 7919 % 99991, (ARRAY['new', 'paid', 'shipped', 'cancelled'])[1 + n % 4], (n % 100000) / 100.0,
           timestamptz '2026-01-01' + n * interval '1 second', timestamptz '2026-02-01' + n * interval '1 second',
           CASE WHEN n % 3 > 0 THEN 'a note of some length ' || n END
    FROM generate_series(1::int8, {count}) n
    """


def rows(count: int) -> str:
    """SQL that fills the table with so many orders, and lets the planner know it."""
    return f"{insert(count)}; VACUUM ANALYZE public.orders;"
