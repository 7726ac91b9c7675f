-- A product is what is sold. Products that are variants of one another share a group, within which the values of the
-- attributes in `varies_by` are unique: they are kept in `variant` for the constraint to see.
CREATE TABLE public.product_groups (
    id         uuid PRIMARY KEY,
    name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    varies_by  text[] NOT NULL CHECK (cardinality(varies_by) BETWEEN 1 AND 3),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    version    bigint NOT NULL DEFAULT 1
);
ALTER TABLE public.products
    ADD COLUMN group_id uuid REFERENCES public.product_groups (id),
    ADD COLUMN variant  jsonb,
    ADD CONSTRAINT products_variant_check CHECK ((group_id IS NULL) = (variant IS NULL)),
    ADD CONSTRAINT products_variant_key UNIQUE (group_id, variant) DEFERRABLE INITIALLY IMMEDIATE;

-- The attributes that products of a category (and of those below it) have: name -> {type, required, choices}.
ALTER TABLE public.categories
    ADD COLUMN attribute_schema jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(attribute_schema) = 'object');

-- What the price is compared with (a former or recommended one), where there is such.
ALTER TABLE public.prices
    ADD COLUMN compare_at numeric(12, 2),
    ADD CONSTRAINT prices_compare_at_check CHECK (compare_at > amount);

-- Every price a product has had, from its first; written by the table itself, so that no change goes past it.
CREATE TABLE public.price_changes (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    product_id     uuid NOT NULL,
    old_amount     numeric(12, 2),
    old_currency   char(3),
    new_amount     numeric(12, 2) NOT NULL,
    new_currency   char(3) NOT NULL,
    new_compare_at numeric(12, 2),
    at             timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT price_changes_old_check CHECK ((old_amount IS NULL) = (old_currency IS NULL))
);
CREATE INDEX price_changes_product_idx ON public.price_changes (product_id, id);
INSERT INTO public.price_changes (product_id, new_amount, new_currency, at)
SELECT product_id, amount, currency, updated_at FROM public.prices;

CREATE FUNCTION service.note_price() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF tg_op = 'INSERT' THEN
        INSERT INTO public.price_changes (product_id, new_amount, new_currency, new_compare_at)
        VALUES (new.product_id, new.amount, new.currency, new.compare_at);
    ELSIF (old.amount, old.currency, old.compare_at) IS DISTINCT FROM (new.amount, new.currency, new.compare_at) THEN
        INSERT INTO public.price_changes
            (product_id, old_amount, old_currency, new_amount, new_currency, new_compare_at)
        VALUES (new.product_id, old.amount, old.currency, new.amount, new.currency, new.compare_at);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER note_price AFTER INSERT OR UPDATE ON public.prices
    FOR EACH ROW EXECUTE FUNCTION service.note_price();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON public.price_changes
    FOR EACH STATEMENT EXECUTE FUNCTION service.refuse_change();
REVOKE UPDATE, DELETE, TRUNCATE ON public.price_changes FROM CURRENT_USER;
