-- What an account's columns say is what its transfers sum to: posted ones, and pending ones that are neither posted nor voided.
WITH sides AS (
    SELECT debit_account AS account, true AS is_debit, id, kind, amount FROM public.transfers
    UNION ALL
    SELECT credit_account, false, id, kind, amount FROM public.transfers
), sums AS (
    SELECT sides.account,
        coalesce(sum(amount) FILTER (WHERE is_debit AND kind IN ('plain', 'post')), 0) AS debits_posted,
        coalesce(sum(amount) FILTER (WHERE NOT is_debit AND kind IN ('plain', 'post')), 0) AS credits_posted,
        coalesce(sum(amount) FILTER (WHERE is_debit AND kind = 'pending' AND resolved.pending_id IS NULL), 0) AS debits_pending,
        coalesce(sum(amount) FILTER (WHERE NOT is_debit AND kind = 'pending' AND resolved.pending_id IS NULL), 0)
            AS credits_pending
    FROM sides
    LEFT JOIN (SELECT pending_id FROM public.transfers WHERE pending_id IS NOT NULL) AS resolved ON resolved.pending_id = sides.id
    GROUP BY sides.account
)
SELECT accounts.id AS account_id, accounts.ledger, accounts.code
FROM public.accounts LEFT JOIN sums ON sums.account = accounts.id
WHERE (accounts.debits_posted, accounts.credits_posted, accounts.debits_pending, accounts.credits_pending)
    <> (coalesce(sums.debits_posted, 0), coalesce(sums.credits_posted, 0),
        coalesce(sums.debits_pending, 0), coalesce(sums.credits_pending, 0))
