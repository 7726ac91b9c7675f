select
    id as address_id,
    user_id,
    kind,
    line1,
    line2,
    postal_code,
    city,
    country,
    created_at,
    updated_at,
    _committed_at,
    _ingested_at,
    _batch
from {{ latest_rows('raw_users', 'addresses') }}
