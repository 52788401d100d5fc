-- purpose: proofs of registered mail

-- name: keep
-- Keep one copy of a proof: (subject, copy, account, site, handed_over_at, sealed). What is kept already stays.
insert into kept_proof (subject, copy, account, site, handed_over_at, sealed) values ($1, $2, $3, $4, $5, $6)
on conflict (subject, copy) do nothing;

-- name: read
-- Read one copy of a proof that is kept.
select account, site, handed_over_at, sealed from kept_proof where subject = $1 and copy = $2;

-- name: keys_over
-- Destroy the keys of proofs of which nothing is left.
update person_key set wrapped = null, destroyed_at = now()
where person like 'proof/%' and destroyed_at is null
  and not exists (select from kept_proof where 'proof/' || kept_proof.subject = person_key.person);
