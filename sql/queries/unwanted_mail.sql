-- purpose: what people do not want

-- name: add
-- Note that an address does not want a kind of mail.
insert into unwanted_mail (digest, kind, at) values ($1, $2, now()) on conflict do nothing;

-- name: remove
-- Note that an address wants a kind of mail again.
delete from unwanted_mail where digest = $1 and kind = $2;

-- name: kinds
-- List the kinds of mail that an address does not want.
select kind from unwanted_mail where digest = $1 order by kind;
