select
    id as refund_id,
    payment_id,
    amount,
    reason,
    created_at as refunded_at,
    _committed_at,
    _ingested_at,
    _batch
from {{ latest_rows('raw_payments', 'refunds') }}
