-- Batches below `readable_below` are complete; the newest statement of the sink holds.
select
    readable_below,
    at
from {{ source('raw_millrace', 'batch_watermark') }}
