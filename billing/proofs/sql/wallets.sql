-- Wallets from %(first)s to %(last)s whose balance, or the rest of a grant, isn't the sum of its transactions, and
-- transactions whose balance doesn't follow from the one before.
WITH wallet AS (
    SELECT wallet.*, customer.external_id AS owner
    FROM billing_wallet AS wallet
    JOIN customers_customer AS customer ON customer.id = wallet.customer_id
    WHERE wallet.id BETWEEN %(first)s AND %(last)s
        AND (%(customer)s::bigint IS NULL OR wallet.customer_id = %(customer)s)
), entry AS (
    SELECT
        entry.*, wallet.owner,
        lag(entry.balance_after, 1, 0::numeric) OVER (PARTITION BY entry.wallet_id ORDER BY entry.id) AS balance_before
    FROM billing_walletentry AS entry JOIN wallet ON wallet.id = entry.wallet_id
), total AS (
    SELECT wallet_id, sum(amount) AS amount FROM entry GROUP BY wallet_id
), by_grant AS (
    SELECT grant_id, sum(amount) AS amount FROM entry GROUP BY grant_id
)
SELECT wallet.id, 'wallet', wallet.id, wallet.owner, 'Balance', wallet.balance, COALESCE(total.amount, 0)
FROM wallet LEFT JOIN total ON total.wallet_id = wallet.id
WHERE wallet.balance IS DISTINCT FROM COALESCE(total.amount, 0)
UNION ALL
SELECT entry.wallet_id, 'entry', entry.id, entry.owner || ' · ' || entry.public_id, 'Amount',
    entry.amount, entry.balance_after - entry.balance_before
FROM entry
WHERE entry.amount IS DISTINCT FROM entry.balance_after - entry.balance_before
UNION ALL
SELECT credit.wallet_id, 'grant', credit.id, wallet.owner || ' · ' || credit.public_id, 'Rest of the grant',
    credit.remaining, COALESCE(by_grant.amount, 0)
FROM billing_creditgrant AS credit
JOIN wallet ON wallet.id = credit.wallet_id
LEFT JOIN by_grant ON by_grant.grant_id = credit.id
WHERE credit.remaining IS DISTINCT FROM COALESCE(by_grant.amount, 0)
