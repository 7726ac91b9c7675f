-- A double-entry ledger after TigerBeetle's model, held by the database itself, whoever writes.
-- A transfer moves an amount from the credit side of one account to the debit side of another of the same ledger (one
-- ledger a currency). It is never changed or removed; a mistake is corrected by another transfer. The columns of the
-- accounts are the sums of their transfers and change only with them.
CREATE TABLE public.accounts (
    id                             integer PRIMARY KEY,
    ledger                         char(3) NOT NULL CHECK (ledger ~ '^[A-Z]{3}$'),
    code                           text NOT NULL,
    name                           text NOT NULL,
    debits_must_not_exceed_credits boolean NOT NULL DEFAULT false,
    credits_must_not_exceed_debits boolean NOT NULL DEFAULT false,
    debits_pending                 numeric(18, 2) NOT NULL DEFAULT 0 CHECK (debits_pending >= 0),
    debits_posted                  numeric(18, 2) NOT NULL DEFAULT 0 CHECK (debits_posted >= 0),
    credits_pending                numeric(18, 2) NOT NULL DEFAULT 0 CHECK (credits_pending >= 0),
    credits_posted                 numeric(18, 2) NOT NULL DEFAULT 0 CHECK (credits_posted >= 0),
    CONSTRAINT accounts_code_once UNIQUE (ledger, code),
    CONSTRAINT accounts_one_bound CHECK (NOT (debits_must_not_exceed_credits AND credits_must_not_exceed_debits)),
    -- What is only promised (pending) may be spent against neither side: it counts where it takes, not where it gives.
    CONSTRAINT accounts_debits_within_credits
        CHECK (NOT debits_must_not_exceed_credits OR debits_pending + debits_posted <= credits_posted),
    CONSTRAINT accounts_credits_within_debits
        CHECK (NOT credits_must_not_exceed_debits OR credits_pending + credits_posted <= debits_posted)
);

CREATE TABLE public.transfers (
    id             text PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 200),
    debit_account  integer NOT NULL REFERENCES public.accounts (id),
    credit_account integer NOT NULL REFERENCES public.accounts (id),
    amount         numeric(12, 2) NOT NULL CHECK (amount > 0 AND amount < 'NaN'),
    ledger         char(3) NOT NULL,
    code           text NOT NULL CHECK (length(code) BETWEEN 1 AND 40),
    kind           text NOT NULL CHECK (kind IN ('plain', 'pending', 'post', 'void')),
    -- No foreign key: its check would need the right to update this table. The trigger looks, and no row ever goes.
    pending_id     text,
    expires_at     timestamptz,
    at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT transfers_two_accounts CHECK (debit_account <> credit_account),
    CONSTRAINT transfers_pending_named CHECK ((pending_id IS NOT NULL) = (kind IN ('post', 'void'))),
    CONSTRAINT transfers_only_pending_expires CHECK (expires_at IS NULL OR kind = 'pending')
);
-- A pending transfer is posted or voided (an expired one is voided too), and that once.
CREATE UNIQUE INDEX transfers_resolved_once ON public.transfers (pending_id) WHERE pending_id IS NOT NULL;
CREATE INDEX transfers_debit_account_idx ON public.transfers (debit_account);
CREATE INDEX transfers_credit_account_idx ON public.transfers (credit_account);

-- Before a transfer: the same id again with the same contents inserts nothing, with other contents it is refused; both
-- accounts are of its ledger; a post or void fits what is pending. Both accounts are locked in the order of their ids, so
-- that transfers between the same two never deadlock and whoever comes second sees what the first did.
CREATE FUNCTION service.check_transfer() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
DECLARE
    earlier public.transfers;
    pending public.transfers;
BEGIN
    PERFORM FROM public.accounts WHERE id IN (NEW.debit_account, NEW.credit_account) ORDER BY id FOR NO KEY UPDATE;
    SELECT * INTO earlier FROM public.transfers WHERE id = NEW.id;
    IF FOUND THEN
        IF (earlier.debit_account, earlier.credit_account, earlier.amount, earlier.ledger, earlier.code, earlier.kind)
            = (NEW.debit_account, NEW.credit_account, NEW.amount, NEW.ledger, NEW.code, NEW.kind)
            AND earlier.pending_id IS NOT DISTINCT FROM NEW.pending_id
        THEN
            RETURN NULL;  -- the times are not compared: a repetition comes later
        END IF;
        RAISE EXCEPTION 'transfer % was made with other contents', NEW.id
            USING ERRCODE = 'unique_violation', CONSTRAINT = 'transfers_same_contents';
    END IF;
    IF 2 <> (SELECT count(*) FROM public.accounts
             WHERE id IN (NEW.debit_account, NEW.credit_account) AND ledger = NEW.ledger) THEN
        RAISE EXCEPTION 'both accounts of transfer % must exist in ledger %', NEW.id, NEW.ledger
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'transfers_one_ledger';
    END IF;
    -- By the clock after the locks: along one account, `at` rises in the order in which the transfers took effect.
    NEW.at := clock_timestamp();
    IF NEW.kind IN ('post', 'void') THEN
        SELECT * INTO pending FROM public.transfers WHERE id = NEW.pending_id AND kind = 'pending';
        IF NOT FOUND OR (pending.debit_account, pending.credit_account, pending.ledger)
            <> (NEW.debit_account, NEW.credit_account, NEW.ledger) THEN
            RAISE EXCEPTION 'transfer % names no pending transfer between its accounts', NEW.id
                USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'transfers_pending_exists';
        END IF;
        IF NEW.amount > pending.amount OR (NEW.kind = 'void' AND NEW.amount <> pending.amount) THEN
            RAISE EXCEPTION 'transfer % cannot % % of % pending', NEW.id, NEW.kind, NEW.amount, pending.amount
                USING ERRCODE = 'check_violation', CONSTRAINT = 'transfers_within_pending';
        END IF;
        IF NEW.kind = 'post' AND pending.expires_at <= NEW.at THEN
            RAISE EXCEPTION 'pending transfer % has expired', NEW.pending_id
                USING ERRCODE = 'check_violation', CONSTRAINT = 'transfers_not_expired';
        END IF;
    END IF;
    RETURN NEW;
END $$;

-- After a transfer was inserted: the accounts' columns follow. A partial post frees the rest of what was pending.
CREATE FUNCTION service.apply_transfer() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
DECLARE
    to_pending numeric := 0;
    to_posted  numeric := 0;
BEGIN
    IF NEW.kind IN ('plain', 'post') THEN
        to_posted := NEW.amount;
    END IF;
    IF NEW.kind = 'pending' THEN
        to_pending := NEW.amount;
    ELSIF NEW.kind IN ('post', 'void') THEN
        SELECT -amount INTO to_pending FROM public.transfers WHERE id = NEW.pending_id;
    END IF;
    UPDATE public.accounts SET
        debits_pending  = debits_pending  + CASE id WHEN NEW.debit_account  THEN to_pending ELSE 0 END,
        debits_posted   = debits_posted   + CASE id WHEN NEW.debit_account  THEN to_posted  ELSE 0 END,
        credits_pending = credits_pending + CASE id WHEN NEW.credit_account THEN to_pending ELSE 0 END,
        credits_posted  = credits_posted  + CASE id WHEN NEW.credit_account THEN to_posted  ELSE 0 END
    WHERE id IN (NEW.debit_account, NEW.credit_account);
    RETURN NULL;
END $$;

CREATE FUNCTION service.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only; make another transfer', TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;

-- An account begins at zero, and only transfers move it: an UPDATE from within the transfers' trigger is nested.
CREATE FUNCTION service.guard_account() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF (NEW.debits_pending, NEW.debits_posted, NEW.credits_pending, NEW.credits_posted) = (0, 0, 0, 0) THEN
            RETURN NEW;
        END IF;
        RAISE EXCEPTION 'account % must begin at zero', NEW.id USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF pg_trigger_depth() < 2 OR (NEW.id, NEW.ledger, NEW.code) <> (OLD.id, OLD.ledger, OLD.code) THEN
        RAISE EXCEPTION 'account % changes only by transfers', OLD.id USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER transfers_check BEFORE INSERT ON public.transfers
    FOR EACH ROW EXECUTE FUNCTION service.check_transfer();
CREATE TRIGGER transfers_apply AFTER INSERT ON public.transfers
    FOR EACH ROW EXECUTE FUNCTION service.apply_transfer();
CREATE TRIGGER transfers_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON public.transfers
    FOR EACH STATEMENT EXECUTE FUNCTION service.refuse_change();
CREATE TRIGGER accounts_guard BEFORE INSERT OR UPDATE ON public.accounts
    FOR EACH ROW EXECUTE FUNCTION service.guard_account();
CREATE TRIGGER accounts_stay BEFORE DELETE OR TRUNCATE ON public.accounts
    FOR EACH STATEMENT EXECUTE FUNCTION service.refuse_change();
REVOKE UPDATE, DELETE, TRUNCATE ON public.transfers FROM CURRENT_USER;
REVOKE DELETE, TRUNCATE ON public.accounts FROM CURRENT_USER;

-- The chart of accounts, the same in every currency in which the shop takes payments (all have two decimals), and in those
-- in which it took some before.
INSERT INTO public.accounts
    (id, ledger, code, name, debits_must_not_exceed_credits, credits_must_not_exceed_debits)
SELECT currency.number * 100 + kind.number, currency.code, kind.code, kind.name, kind.credit_side, NOT kind.credit_side
FROM (SELECT code, row_number() OVER (ORDER BY position, code) AS number
      FROM (SELECT code, position
            FROM unnest(ARRAY['EUR', 'USD', 'GBP', 'CHF', 'SEK', 'NOK', 'DKK', 'PLN', 'CZK'])
                WITH ORDINALITY AS known (code, position)
            UNION ALL
            SELECT DISTINCT currency::text, 100 FROM public.payments
            WHERE currency NOT IN ('EUR', 'USD', 'GBP', 'CHF', 'SEK', 'NOK', 'DKK', 'PLN', 'CZK')) AS each
     ) AS currency,
     (VALUES (10, 'provider_clearing', 'Held for us by the payment provider', false),
             (20, 'customer_payments', 'Paid by customers for their orders', true),
             (30, 'unowed_receipts', 'Taken though nothing was owed, to be given back', true))
        AS kind (number, code, name, credit_side);
