-- Users and their addresses. E-mail is unique without regard to case.
CREATE TABLE public.users (
    id          uuid PRIMARY KEY,
    email       text NOT NULL CHECK (length(email) <= 254),
    full_name   text NOT NULL CHECK (length(full_name) BETWEEN 1 AND 200),
    country     char(2) NOT NULL,
    marketing_consent boolean NOT NULL DEFAULT false,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    version     bigint NOT NULL DEFAULT 1
);
CREATE UNIQUE INDEX users_email_key ON public.users (lower(email));

CREATE TABLE public.addresses (
    id          uuid PRIMARY KEY,
    user_id     uuid NOT NULL REFERENCES public.users (id) ON DELETE CASCADE,
    kind        text NOT NULL CHECK (kind IN ('shipping', 'billing')),
    line1       text NOT NULL CHECK (length(line1) BETWEEN 1 AND 200),
    line2       text CHECK (length(line2) <= 200),
    postal_code text NOT NULL CHECK (length(postal_code) <= 20),
    city        text NOT NULL CHECK (length(city) BETWEEN 1 AND 100),
    country     char(2) NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX addresses_user_id_idx ON public.addresses (user_id);
