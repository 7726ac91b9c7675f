-- Categories are changed by whoever has seen their newest version, as products and groups are.
ALTER TABLE public.categories ADD COLUMN version bigint NOT NULL DEFAULT 1;
