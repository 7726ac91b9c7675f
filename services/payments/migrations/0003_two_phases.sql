-- Payments in two phases: authorised, then captured or voided. What was captured at once so far gets its transfers.
ALTER TABLE public.payments
    ADD COLUMN captured numeric(12, 2) NOT NULL DEFAULT 0,
    ADD COLUMN expires_at timestamptz,
    DROP CONSTRAINT payments_status_check,
    DROP CONSTRAINT payments_refund_bound;

UPDATE public.payments SET captured = amount WHERE status IN ('CAPTURED', 'REFUNDED');
UPDATE public.payments SET status = 'VOIDED', failure_code = NULL
WHERE status = 'DECLINED' AND failure_code = 'voided';

INSERT INTO public.transfers (id, debit_account, credit_account, amount, ledger, code, kind)
SELECT p.order_id || ':capture', clearing.id, paid.id, p.amount, p.currency, 'payment', 'plain'
FROM public.payments p
JOIN public.accounts clearing ON clearing.ledger = p.currency AND clearing.code = 'provider_clearing'
JOIN public.accounts paid ON paid.ledger = p.currency AND paid.code = 'customer_payments'
WHERE p.captured > 0 ORDER BY p.id;
INSERT INTO public.transfers (id, debit_account, credit_account, amount, ledger, code, kind)
SELECT 'refund:' || r.id, paid.id, clearing.id, r.amount, p.currency, 'refund', 'plain'
FROM public.refunds r JOIN public.payments p ON p.id = r.payment_id
JOIN public.accounts clearing ON clearing.ledger = p.currency AND clearing.code = 'provider_clearing'
JOIN public.accounts paid ON paid.ledger = p.currency AND paid.code = 'customer_payments'
ORDER BY r.id;

ALTER TABLE public.payments
    ADD CONSTRAINT payments_status_check
        CHECK (status IN ('PENDING', 'AUTHORISED', 'CAPTURED', 'DECLINED', 'VOIDED', 'REFUNDED')),
    ADD CONSTRAINT payments_capture_bound CHECK (captured BETWEEN 0 AND amount),
    ADD CONSTRAINT payments_refund_bound CHECK (refunded <= captured),
    ADD CONSTRAINT payments_captured_or_not CHECK ((captured > 0) = (status IN ('CAPTURED', 'REFUNDED'))),
    ADD CONSTRAINT payments_refunded_or_not CHECK (captured = 0 OR (refunded = captured) = (status = 'REFUNDED'));
-- What reconciliation looks for: payments that are still under way, and what changed lately.
CREATE INDEX payments_under_way_idx ON public.payments (updated_at) WHERE status IN ('PENDING', 'AUTHORISED');
CREATE INDEX payments_updated_at_idx ON public.payments (updated_at);

-- Which status may follow which; what is over stays so.
CREATE FUNCTION service.check_payment_status() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.status, NEW.status) NOT IN (
        ('PENDING', 'AUTHORISED'), ('PENDING', 'DECLINED'), ('PENDING', 'VOIDED'),
        ('AUTHORISED', 'CAPTURED'), ('AUTHORISED', 'VOIDED'), ('CAPTURED', 'REFUNDED')
    ) THEN
        RAISE EXCEPTION 'payment % is %, it cannot become %', OLD.id, OLD.status, NEW.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'payments_status_order';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER payments_status_order BEFORE UPDATE OF status ON public.payments
    FOR EACH ROW WHEN (OLD.status <> NEW.status) EXECUTE FUNCTION service.check_payment_status();

-- The word that an order's payment is over: written before the provider is asked to undo anything, so that a payment or
-- a capture that comes later is refused, also when there was no payment yet, and what was left half-way is finished.
CREATE TABLE service.voids (
    order_id uuid PRIMARY KEY,
    reason   text NOT NULL CHECK (length(reason) <= 200),
    at       timestamptz NOT NULL DEFAULT now()
);

-- What reconciliation found and could not, or should not, mend by itself; with `resolution` it is over.
CREATE TABLE service.reconciliation_findings (
    id         uuid PRIMARY KEY,
    kind       text NOT NULL,
    reference  text NOT NULL,
    charge_id  text,
    ours       numeric(12, 2),
    theirs     numeric(12, 2),
    detail     text NOT NULL,
    first_seen timestamptz NOT NULL DEFAULT now(),
    last_seen  timestamptz NOT NULL DEFAULT now(),
    resolution text,
    resolved_at timestamptz,
    CONSTRAINT reconciliation_findings_resolved CHECK ((resolution IS NULL) = (resolved_at IS NULL))
);
-- One open finding of a kind about a reference; the same again only says that it is still there.
CREATE UNIQUE INDEX reconciliation_findings_open ON service.reconciliation_findings (kind, reference)
    WHERE resolution IS NULL;

-- Up to where the provider's list was compared without an error.
CREATE TABLE service.reconciliation_progress (
    id       boolean PRIMARY KEY DEFAULT true CHECK (id),
    seen_until timestamptz NOT NULL
);
