-- Two rows per transfer, what it does to each of its accounts: the whole logic of fct_ledger_entries. Debits are
-- positive, credits negative. A post or a void takes back all that was pending, whatever part of it is posted.
with
    transfers as (select * from {{ ref('stg_payments__transfers') }}),
    pending as (select transfer_id, amount from transfers where kind = 'pending'),
    moves as (
        select
            transfers.*,
            if(transfers.kind in ('plain', 'post'), transfers.amount, 0) as to_posted,
            multiIf(transfers.kind = 'pending', transfers.amount, transfers.kind = 'plain', 0, -ifNull(pending.amount, 0)) as to_pending
        from transfers
        left join pending on pending.transfer_id = transfers.pending_transfer_id
    )
select
    transfer_id,
    side,
    if(side = 'debit', debit_account_id, credit_account_id) as account_id,
    code,
    kind,
    pending_transfer_id,
    currency,
    {{ as_money("if(side = 'debit', to_posted, -to_posted)") }} as posted,
    {{ as_money("if(side = 'debit', to_pending, -to_pending)") }} as pending,
    transferred_at
from moves
array join ['debit', 'credit'] as side
settings join_use_nulls = 1  -- the view means this, whoever reads it with whatever settings
