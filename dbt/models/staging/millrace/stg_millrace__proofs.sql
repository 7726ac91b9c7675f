-- Proofs are written once and never changed.
select
    source,
    table_name,
    proven_at,
    rows_source,
    rows_target,
    differing
from {{ source('raw_millrace', 'proofs') }}
