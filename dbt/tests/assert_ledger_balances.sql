{{ config(meta={'dagster': {'ref': {'name': 'fct_ledger_entries'}}}) }}
-- Conservation: nothing is made or lost between two accounts.
select transfer_id, sum(posted) as posted, sum(pending) as pending
from {{ ref('fct_ledger_entries') }}
group by transfer_id
having posted != 0 or pending != 0
