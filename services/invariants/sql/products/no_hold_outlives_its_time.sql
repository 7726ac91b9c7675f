-- Stock that is held is given back within a minute after its time is up: the sweeper works.
SELECT order_id, expires_at FROM service.holds
WHERE state = 'held' AND expires_at < clock_timestamp() - interval '1 minute'
