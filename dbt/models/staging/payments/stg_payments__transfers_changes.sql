-- Every version of every key, tombstones too: what the windows of the incremental marts are read from.
select
    id as transfer_id,
    _batch
from {{ source('raw_payments', 'transfers') }}
