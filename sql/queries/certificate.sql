-- purpose: operation

-- name: start
-- Note that a run began, unless one of the account still runs or it had its most of a day: (id, account, url, by, whole, most).
insert into certificate (id, account, url, started_by, started_at, whole)
select $1, $2, $3, $4, now(), $5
where not exists (
    select from certificate where account = $2 and ended_at is null and started_at > now() - interval '1 hour')
  and (select count(*) from certificate where account = $2 and started_at > now() - interval '1 day') < $6
returning id;

-- name: advance
-- Note how far a run is.
update certificate set done = $2, whole = $3 where id = $1 and ended_at is null;

-- name: finish
-- Keep what came of a run: (id, result, certificate).
update certificate set ended_at = now(), result = $2, body = $3::jsonb where id = $1 and ended_at is null;

-- name: read
-- Read one run of an account.
select id, url, started_by, started_at, ended_at, result, body, done, whole from certificate where account = $1 and id = $2;

-- name: of_account
-- List the runs of an account, newest first.
select id, url, started_by, started_at, ended_at, result, body, done, whole from certificate
where account = $1 order by started_at desc limit $2;

-- name: forget_before
-- Forget runs that began before a moment.
delete from certificate where started_at < $1;
