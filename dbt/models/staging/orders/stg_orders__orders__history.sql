-- Every version of every order, ends among them. Of an end only the key counts.
select
    id as order_id,
    status,
    failure,
    updated_at,
    {{ version_columns() }}
from {{ latest_rows('raw_orders', 'orders__history') }}
