-- Who somebody is and what they may do. The password's hash stands outside of `public`, whose tables are captured.
ALTER TABLE public.users ADD COLUMN email_verified_at timestamptz, ADD COLUMN erased_at timestamptz;

-- `epoch` is raised when everything granted before shall end: sessions and mailed links carry the number they began with.
CREATE TABLE service.credentials (
    user_id       uuid PRIMARY KEY REFERENCES public.users (id) ON DELETE CASCADE,
    password_hash text,
    roles         text[] NOT NULL DEFAULT '{customer}'
        CHECK (roles <@ '{customer,support,operator,admin}'::text[] AND cardinality(roles) BETWEEN 1 AND 4),
    epoch         bigint NOT NULL DEFAULT 1,
    updated_at    timestamptz NOT NULL DEFAULT now()
);
INSERT INTO service.credentials (user_id) SELECT id FROM public.users;

CREATE TABLE service.role_changes (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id    uuid NOT NULL,
    before     text[] NOT NULL,
    after      text[] NOT NULL,
    changed_by text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX role_changes_user_id_idx ON service.role_changes (user_id);
CREATE FUNCTION service.refuse_change() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON service.role_changes
    EXECUTE FUNCTION service.refuse_change();

-- Mails to be sent; a row is removed once the mail server has taken the mail.
CREATE TABLE service.outgoing_mails (
    id         uuid PRIMARY KEY,
    user_id    uuid NOT NULL REFERENCES public.users (id) ON DELETE CASCADE,
    kind       text NOT NULL CHECK (kind IN ('verify-email', 'reset-password')),
    attempts   int NOT NULL DEFAULT 0,
    not_before timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX outgoing_mails_not_before_idx ON service.outgoing_mails (not_before);
