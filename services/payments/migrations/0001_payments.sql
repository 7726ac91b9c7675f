-- One payment an order; refunds never exceed what was captured.
CREATE TABLE public.payments (
    id                 uuid PRIMARY KEY,
    order_id           uuid NOT NULL UNIQUE,
    amount             numeric(12, 2) NOT NULL CHECK (amount > 0),
    refunded           numeric(12, 2) NOT NULL DEFAULT 0 CHECK (refunded >= 0),
    currency           char(3) NOT NULL,
    status             text NOT NULL CHECK (status IN ('PENDING', 'CAPTURED', 'DECLINED', 'REFUNDED')),
    method             text NOT NULL CHECK (method IN ('card', 'invoice', 'wallet')),
    provider_reference text,
    failure_code       text,
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT payments_refund_bound CHECK (refunded <= amount)
);

CREATE TABLE public.refunds (
    id         uuid PRIMARY KEY,
    payment_id uuid NOT NULL REFERENCES public.payments (id),
    amount     numeric(12, 2) NOT NULL CHECK (amount > 0),
    reason     text NOT NULL CHECK (length(reason) <= 200),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX refunds_payment_id_idx ON public.refunds (payment_id);
