-- purpose: who is calling

-- name: begin
-- Count a try of each of these, unless it had as many as it may: (digests[], most[], now, since). Returns those that were counted.
insert into tried (digest, since, tries)
select asked.digest, $3::timestamptz, 1 from unnest($1::bytea[], $2::int[]) as asked (digest, most) order by asked.digest
on conflict (digest) do update set
  since = case when tried.since > $4::timestamptz then tried.since else excluded.since end,
  tries = case when tried.since > $4::timestamptz then tried.tries + 1 else 1 end
where tried.since <= $4::timestamptz
  or tried.tries < (select asked.most from unnest($1::bytea[], $2::int[]) as asked (digest, most) where asked.digest = excluded.digest)
returning digest;

-- name: take_back
-- Count a try of each of these no more: (digests[]).
update tried set tries = tried.tries - 1
from (select digest from tried where digest = any($1::bytea[]) and tries > 0 order by digest for update) as mine
where tried.digest = mine.digest;

-- name: too_many
-- Tell whether one of these had as many as it may: (digests[], most[], since).
select exists (
  select from unnest($1::bytea[], $2::int[]) as asked (digest, most)
  join tried on tried.digest = asked.digest and tried.since > $3::timestamptz and tried.tries >= asked.most);

-- name: forget_old
-- Delete what was counted before a moment, a few at a time and waiting for nobody.
delete from tried where digest in (
  select digest from tried where since < $1::timestamptz order by since limit 200 for update skip locked);
