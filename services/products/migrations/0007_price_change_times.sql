-- A price's change is of the moment that the price's own row names, which is the clock's wherever the service writes it; so a
-- price history that is brought in from elsewhere keeps its times. A change that leaves the row's time alone is of now.
CREATE OR REPLACE FUNCTION service.note_price() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF tg_op = 'INSERT' THEN
        INSERT INTO public.price_changes (product_id, new_amount, new_currency, new_compare_at, at)
        VALUES (new.product_id, new.amount, new.currency, new.compare_at, new.updated_at);
    ELSIF (old.amount, old.currency, old.compare_at) IS DISTINCT FROM (new.amount, new.currency, new.compare_at) THEN
        INSERT INTO public.price_changes
            (product_id, old_amount, old_currency, new_amount, new_currency, new_compare_at, at)
        VALUES (new.product_id, old.amount, old.currency, new.amount, new.currency, new.compare_at,
                CASE WHEN new.updated_at = old.updated_at THEN now() ELSE new.updated_at END);
    END IF;
    RETURN NULL;
END $$;
