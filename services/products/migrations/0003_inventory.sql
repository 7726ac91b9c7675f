-- Holds that end: an order's hold is one row with a state and a time, its lines are public.reservations. The row of an
-- order that was released before it reserved anything (lines '[]') is a tombstone: a reserve that comes late is refused.
-- Outside `public`: the stored answer and the tombstone are no facts of the shop and are not captured.
ALTER TABLE service.reservation_replies RENAME TO holds;
ALTER TABLE service.holds
    ADD COLUMN state      text,
    ADD COLUMN expires_at timestamptz,
    ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now();
UPDATE service.holds
SET expires_at = created_at + interval '15 minutes',
    state = coalesce((SELECT min(state) FROM public.reservations WHERE order_id = holds.order_id), 'released');
ALTER TABLE service.holds
    ALTER COLUMN state SET NOT NULL,
    ALTER COLUMN expires_at SET NOT NULL,
    ADD CONSTRAINT holds_state_check CHECK (state IN ('held', 'committed', 'released', 'expired'));
ALTER TABLE service.holds RENAME CONSTRAINT reservation_replies_pkey TO holds_pkey;
CREATE INDEX holds_due_idx ON service.holds (expires_at) WHERE state = 'held';

-- State and time of the hold, repeated on each line for the readers of the table and of its copies.
ALTER TABLE public.reservations ADD COLUMN expires_at timestamptz;
UPDATE public.reservations SET expires_at = created_at + interval '15 minutes';
ALTER TABLE public.reservations
    ALTER COLUMN expires_at SET NOT NULL,
    DROP CONSTRAINT reservations_state_check,
    ADD CONSTRAINT reservations_state_check CHECK (state IN ('held', 'committed', 'released', 'expired'));

-- What happened to the pieces of a product; the rows sum to its stock row. Only an adjustment may be negative.
CREATE TABLE public.stock_movements (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    product_id uuid NOT NULL,
    kind       text NOT NULL CHECK (kind IN
                   ('received', 'adjusted', 'reserved', 'released', 'expired', 'committed', 'returned')),
    quantity   integer NOT NULL CHECK (quantity > 0 OR (kind = 'adjusted' AND quantity < 0)),
    order_id   uuid,
    reason     text CHECK (length(reason) BETWEEN 1 AND 200),
    at         timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT stock_movements_order_check CHECK ((order_id IS NULL) = (kind IN ('received', 'adjusted'))),
    CONSTRAINT stock_movements_explained_check CHECK ((reason IS NOT NULL) = (kind = 'adjusted'))
);
CREATE INDEX stock_movements_product_idx ON public.stock_movements (product_id, id);
-- A line of an order is reserved, committed and given back once each, whatever is repeated.
CREATE UNIQUE INDEX stock_movements_once_idx ON public.stock_movements (order_id, product_id, kind)
    WHERE order_id IS NOT NULL;

INSERT INTO public.stock_movements (product_id, kind, quantity, at)
SELECT product_id, 'received', available + reserved + sold, created_at
FROM public.stock JOIN public.products ON id = product_id WHERE available + reserved + sold > 0;
INSERT INTO public.stock_movements (product_id, kind, quantity, order_id, at)
SELECT product_id, 'reserved', quantity, order_id, created_at FROM public.reservations
UNION ALL
SELECT product_id, state, quantity, order_id, updated_at FROM public.reservations WHERE state <> 'held';

CREATE FUNCTION service.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', tg_table_name, tg_op USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON public.stock_movements
    FOR EACH STATEMENT EXECUTE FUNCTION service.refuse_change();
REVOKE UPDATE, DELETE, TRUNCATE ON public.stock_movements FROM CURRENT_USER;

-- Room for new versions of a row on its page: stock changes far more often than it grows.
ALTER TABLE public.stock SET (fillfactor = 50);
