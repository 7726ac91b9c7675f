-- Events and changes that services have committed are read from the log: no reader of it is 256 MB behind.
SELECT slot_name, database, active, wal_status, pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::bigint AS unread_bytes
FROM pg_replication_slots
WHERE slot_type = 'logical'
    AND (wal_status IN ('unreserved', 'lost')
        OR pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)
            > coalesce(nullif(current_setting('millrace.unread_bytes', true), ''), '268435456')::numeric)
