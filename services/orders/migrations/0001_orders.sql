-- Orders and their lines. The identity of the total is held by the database: total = subtotal - discount + tax + shipping.
CREATE TABLE public.orders (
    id         uuid PRIMARY KEY,
    user_id    uuid NOT NULL,
    status     text NOT NULL CHECK (status IN ('PENDING', 'CONFIRMED', 'FAILED', 'CANCELLED')),
    failure    text CHECK (length(failure) <= 500),
    currency   char(3) NOT NULL,
    subtotal   numeric(12, 2) NOT NULL DEFAULT 0 CHECK (subtotal >= 0),
    discount   numeric(12, 2) NOT NULL DEFAULT 0 CHECK (discount >= 0),
    tax        numeric(12, 2) NOT NULL DEFAULT 0 CHECK (tax >= 0),
    shipping   numeric(12, 2) NOT NULL DEFAULT 0 CHECK (shipping >= 0),
    total      numeric(12, 2) NOT NULL DEFAULT 0,
    placed_at  timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    version    bigint NOT NULL DEFAULT 1,
    CONSTRAINT orders_total_identity CHECK (total = subtotal - discount + tax + shipping)
);
CREATE INDEX orders_user_id_idx ON public.orders (user_id, id);

CREATE TABLE public.order_items (
    order_id     uuid NOT NULL REFERENCES public.orders (id) ON DELETE CASCADE,
    line         smallint NOT NULL CHECK (line > 0),
    product_id   uuid NOT NULL,
    sku          text NOT NULL,
    product_name text NOT NULL,
    quantity     integer NOT NULL CHECK (quantity > 0),
    unit_price   numeric(12, 2) NOT NULL CHECK (unit_price >= 0),
    line_total   numeric(12, 2) NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (order_id, line),
    CONSTRAINT order_items_total_identity CHECK (line_total = unit_price * quantity)
);
