select
    id as account_id,
    ledger as currency,
    code,
    name,
    debits_must_not_exceed_credits,
    credits_must_not_exceed_debits,
    debits_pending,
    debits_posted,
    credits_pending,
    credits_posted,
    _committed_at,
    _ingested_at,
    _batch
from {{ latest_rows('raw_payments', 'accounts') }}
