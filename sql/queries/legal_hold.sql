-- purpose: rights of persons

-- name: set
-- Hold a purpose or a person: (id, purpose, person, reference).
insert into legal_hold (id, purpose, person, reference, since) values ($1, $2, $3, $4, now());

-- name: end
-- End a hold.
update legal_hold set ended_at = now() where id = $1 and ended_at is null;

-- name: list
-- List the holds that stand.
select id, purpose, person, reference, since from legal_hold where ended_at is null order by since, id;
