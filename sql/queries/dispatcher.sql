-- purpose: operation

-- name: here
-- Say that a dispatcher is there.
insert into dispatcher (owner, seen_at) values ($1, now()) on conflict (owner) do update set seen_at = excluded.seen_at;

-- name: count
-- Count the dispatchers that were seen within some seconds, and the lanes that they share.
select (select count(*) from dispatcher where seen_at > now() - make_interval(secs => $1)) as dispatchers,
  (select count(*) from lane join endpoint e on e.id = lane.endpoint where e.state = 'active') as lanes;

-- name: gone
-- Forget a dispatcher that stopped, and those that were not seen for an hour.
delete from dispatcher where owner = $1 or seen_at < now() - interval '1 hour';
