-- purpose: operation

-- name: add
-- Keep later events of parked subjects; the same one again changes nothing.
insert into lane_backlog (endpoint, subject, day, pos, shard)
select endpoint, subject, day, pos, shard
from unnest($1::text[], $2::text[], $3::date[], $4::bigint[], $5::smallint[]) as new (endpoint, subject, day, pos, shard)
on conflict do nothing;

-- name: trim
-- Forget what lies at or before the head of a subject.
delete from lane_backlog b using unnest($1::text[], $2::text[], $3::date[], $4::bigint[]) as head (endpoint, subject, day, pos)
where b.endpoint = head.endpoint and b.subject = head.subject
  and b.day <= head.day and (b.day < head.day or b.pos <= head.pos);

-- name: next
-- Read the next events of a parked subject, in order; the event is null where retention was faster.
select b.day, b.shard, b.pos, e.id, e.part, e.type, e.subject, e.subject_seq, e.account, e.site, e.run,
  e.occurred_at, e.received_at, e.public
from lane_backlog b left join event e on e.day = b.day and e.shard = b.shard and e.pos = b.pos
where b.endpoint = $1 and b.subject = $2 and b.day >= $3 and (b.day > $3 or b.pos > $4)
order by b.day, b.pos limit $5;

-- name: behind
-- Count the events behind parked subjects, as far as a thousand each.
select wanted.subject, (select count(*) from (
  select from lane_backlog where lane_backlog.endpoint = $1 and lane_backlog.subject = wanted.subject limit 1000) as few) as behind
from unnest($2::text[]) as wanted (subject);

-- name: count
-- Count what waits behind the parked subjects of an endpoint, 100,000 for as many or more.
select count(*) from (select from lane_backlog where endpoint = $1 limit 100000) as few;
