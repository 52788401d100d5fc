-- purpose: accounts of customers

-- name: by_email
-- Find the account of a customer by the digest of a proved address, also a revoked one.
select account from customer where email_hmac = $1;

-- name: by_identity
-- Find the account of a customer by the digest of issuer and subject, also a revoked one.
select account from customer where identity_hmac = $1;

-- name: add
-- Keep what is known of a new customer, unless somebody has this address or identity already: (account, email, identity, sealed, day).
insert into customer (account, email_hmac, identity_hmac, sealed, seen_on) values ($1, $2, $3, $4, $5)
on conflict do nothing returning account;

-- name: identify
-- Add the identity to a customer who has none yet: (account, identity).
update customer set identity_hmac = $2 where account = $1 and identity_hmac is null
  and not exists (select 1 from customer as other where other.identity_hmac = $2);

-- name: seen
-- Note on which day a customer came last: (account, day).
update customer set seen_on = $2 where account = $1 and seen_on < $2;

-- name: forget
-- Forget what is known of a customer: (account).
delete from customer where account = $1;
