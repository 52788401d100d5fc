-- purpose: journal

-- name: load
-- Load the heads of subjects.
select subject, seq, account, person from subject_head where subject = any($1::text[]);

-- name: save
-- Write heads that moved.
insert into subject_head (subject, seq, account, person, touched_on)
select subject, seq, account, person, $5
from unnest($1::text[], $2::bigint[], $3::text[], $4::text[]) as new (subject, seq, account, person)
on conflict (subject) do update
set seq = excluded.seq, account = excluded.account, person = excluded.person, touched_on = excluded.touched_on;
