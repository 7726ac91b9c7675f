select
    id as transfer_id,
    debit_account as debit_account_id,
    credit_account as credit_account_id,
    amount,
    ledger as currency,
    code,
    kind,
    pending_id as pending_transfer_id,
    expires_at,
    at as transferred_at,
    _committed_at,
    _ingested_at,
    _batch
from {{ latest_rows('raw_payments', 'transfers') }}
