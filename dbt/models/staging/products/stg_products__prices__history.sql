-- Every version of every price, ends among them. Of an end only the key counts.
select
    product_id,
    amount,
    currency,
    compare_at,
    updated_at,
    {{ version_columns() }}
from {{ latest_rows('raw_products', 'prices__history') }}
