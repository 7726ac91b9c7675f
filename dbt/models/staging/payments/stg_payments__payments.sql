select
    id as payment_id,
    order_id,
    amount,
    refunded,
    currency,
    status,
    method,
    provider_reference,
    failure_code,
    created_at,
    updated_at,
    _committed_at,
    _ingested_at,
    _batch
from {{ latest_rows('raw_payments', 'payments') }}
