-- purpose: operation

-- name: save
-- Park subjects, or note how far a parked one has come.
insert into parked (endpoint, subject, shard, day, pos, attempts, next_at, reason, since)
select endpoint, subject, shard, day, pos, attempts, next_at, reason, since
from unnest($1::text[], $2::text[], $3::smallint[], $4::date[], $5::bigint[], $6::integer[], $7::timestamptz[], $8::text[],
  $9::timestamptz[]) as new (endpoint, subject, shard, day, pos, attempts, next_at, reason, since)
on conflict (endpoint, subject) do update set shard = excluded.shard, day = excluded.day, pos = excluded.pos,
  attempts = excluded.attempts, next_at = excluded.next_at, reason = excluded.reason, since = excluded.since,
  told = parked.told and (parked.day, parked.pos) = (excluded.day, excluded.pos);

-- name: free
-- Let subjects flow again.
delete from parked using unnest($1::text[], $2::text[]) as gone (endpoint, subject)
where parked.endpoint = gone.endpoint and parked.subject = gone.subject;

-- name: read
-- Read the parked subjects of an endpoint, and how many events wait behind each.
select p.subject, p.shard, p.day, p.pos, p.attempts, p.next_at, p.reason, p.since,
  (select count(*) from lane_backlog b where b.endpoint = p.endpoint and b.subject = p.subject) as behind
from parked p where p.endpoint = $1;

-- name: shift
-- Let the schedules of an endpoint have stood still since a moment; a head that has not failed has none.
update parked set next_at = next_at + (now() - $2::timestamptz) where endpoint = $1 and attempts > 0;

-- name: head
-- Read the event that a parked subject stands at; null where retention was faster.
select place.day, place.shard, place.pos, e.id, e.part, e.type, e.subject, e.subject_seq, e.account, e.site, e.run,
  e.occurred_at, e.received_at, e.public
from (select $1::date as day, $2::smallint as shard, $3::bigint as pos) place
left join event e on e.day = place.day and e.shard = place.shard and e.pos = place.pos;

-- name: page
-- List the parked subjects of an endpoint by name, behind one.
select subject, since, attempts, reason, next_at from parked where endpoint = $1 and subject > $2 order by subject limit $3;
