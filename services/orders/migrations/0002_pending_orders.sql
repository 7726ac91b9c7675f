-- Orders that were left unfinished are looked for again and again; there are few of them among many.
CREATE INDEX orders_pending_idx ON public.orders (placed_at) WHERE status = 'PENDING';
