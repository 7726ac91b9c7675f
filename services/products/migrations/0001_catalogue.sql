-- The catalogue: a tree of categories, products, one price and one stock row a product.
-- `path` names the category from its root ("Home > Kitchen > Knives"); a rename or a move rewrites it for the whole
-- subtree in the same transaction, so that a reader (and the product document) never walks the tree.
CREATE TABLE public.categories (
    id         uuid PRIMARY KEY,
    parent_id  uuid REFERENCES public.categories (id),
    name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    slug       text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
    path       text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX categories_parent_id_idx ON public.categories (parent_id);

CREATE TABLE public.products (
    id          uuid PRIMARY KEY,
    sku         text NOT NULL UNIQUE CHECK (length(sku) BETWEEN 1 AND 64),
    category_id uuid NOT NULL REFERENCES public.categories (id),
    name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    brand       text NOT NULL CHECK (length(brand) BETWEEN 1 AND 100),
    description text NOT NULL DEFAULT '' CHECK (length(description) <= 10000),
    attributes  jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(attributes) = 'object'),
    status      text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'discontinued')),
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    version     bigint NOT NULL DEFAULT 1
);
CREATE INDEX products_category_id_idx ON public.products (category_id);

CREATE TABLE public.prices (
    product_id uuid PRIMARY KEY REFERENCES public.products (id) ON DELETE CASCADE,
    amount     numeric(12, 2) NOT NULL CHECK (amount >= 0),
    currency   char(3) NOT NULL DEFAULT 'EUR',
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- `received` is everything that ever came in: received = available + reserved + sold.
CREATE TABLE public.stock (
    product_id uuid PRIMARY KEY REFERENCES public.products (id) ON DELETE CASCADE,
    available  integer NOT NULL DEFAULT 0 CHECK (available >= 0),
    reserved   integer NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    sold       integer NOT NULL DEFAULT 0 CHECK (sold >= 0),
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- One row per order line; the product may be gone, the reservation stays as a fact.
CREATE TABLE public.reservations (
    order_id   uuid NOT NULL,
    product_id uuid NOT NULL,
    quantity   integer NOT NULL CHECK (quantity > 0),
    state      text NOT NULL CHECK (state IN ('held', 'committed', 'released')),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (order_id, product_id)
);

-- The product document is assembled from these tables: a change of a child must name its old parent too.
ALTER TABLE public.products   REPLICA IDENTITY FULL;
ALTER TABLE public.categories REPLICA IDENTITY FULL;
ALTER TABLE public.prices     REPLICA IDENTITY FULL;
ALTER TABLE public.stock      REPLICA IDENTITY FULL;
