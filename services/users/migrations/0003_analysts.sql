-- Analysts are people who may read the shop's numbers and nothing of anybody's.
ALTER TABLE service.credentials DROP CONSTRAINT credentials_roles_check;
ALTER TABLE service.credentials ADD CONSTRAINT credentials_roles_check
    CHECK (roles <@ '{customer,support,operator,admin,analyst}'::text[] AND cardinality(roles) BETWEEN 1 AND 5);
