-- Orders that were released before they held anything, so that the old ones can be found and forgotten (endings.py).
CREATE INDEX holds_tombstones_idx ON service.holds (created_at) WHERE state = 'released' AND lines = '[]';
