-- purpose: orders

-- name: keep
-- Keep that a notice with this code was left for an item: (digest, subject, left_at).
insert into notice_code (code_hmac, subject, left_at) values ($1, $2, $3)
on conflict (code_hmac, subject) do update set left_at = excluded.left_at;

-- name: withdraw
-- Forget a notice that was not left after all: (digest, subject).
delete from notice_code where code_hmac = $1 and subject = $2;

-- name: items
-- List the items of a notice: (digest, left since).
select subject from notice_code where code_hmac = $1 and left_at >= $2 order by subject limit 20;
