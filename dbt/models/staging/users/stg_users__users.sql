select
    id as user_id,
    email,
    full_name,
    country,
    marketing_consent as has_marketing_consent,
    created_at,
    updated_at,
    version,
    email_verified_at,
    erased_at,
    _committed_at,
    _ingested_at,
    _batch
from {{ latest_rows('raw_users', 'users') }}
