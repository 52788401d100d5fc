-- purpose: figures

-- name: begin
-- Begin to count from a day on, in the shards of which nothing was counted: (shard[], day).
insert into report_cursor (shard, day, pos) select shard, $2, 0 from unnest($1::smallint[]) as shard on conflict do nothing;

-- name: cursors
-- Read how far each shard has been counted.
select shard, day, pos from report_cursor order by shard;

-- name: lock
-- Let one count at a time, and read how far each shard has been counted by then.
select shard, day, pos from report_cursor order by shard for update;

-- name: move
-- Move the cursors of shards: (shard[], day[], pos[]).
update report_cursor as cursor set day = new.day, pos = new.pos
from unnest($1::smallint[], $2::date[], $3::bigint[]) as new (shard, day, pos) where cursor.shard = new.shard;

-- name: events_after
-- Read public events of a shard behind a position, in order: (shard, day, pos, types, limit). Of other types nothing is read.
select day, pos, id, part, type, subject, account, site, occurred_at, public
from (
  (
    select day, pos, id, part, type, subject, account, site, occurred_at, case when type = any($4::text[]) then public end as public
    from event
    where shard = $1 and day = $2 and pos > $3 and kind = 'public'
    order by pos
    limit $5
  )
  union all
  (
    select day, pos, id, part, type, subject, account, site, occurred_at, case when type = any($4::text[]) then public end as public
    from event
    where shard = $1 and day > $2 and kind = 'public'
    order by day, pos
    limit $5
  )
) as behind
order by day, pos
limit $5;

-- name: subjects
-- Read what is known of things, by their names.
select subject, facts, counted from report_subject where subject = any($1::text[]);

-- name: save_subjects
-- Write what is known of things: (subject[], facts[], counted[], day).
insert into report_subject (subject, facts, counted, touched_on)
select subject, facts, counted, $4 from unnest($1::text[], $2::jsonb[], $3::jsonb[]) as new (subject, facts, counted)
on conflict (subject) do update
set facts = excluded.facts, counted = excluded.counted, touched_on = excluded.touched_on;

-- name: carriers_of
-- Whose runs were these events of? Asked while a month is counted, to tell carriers apart; never kept.
select event_id.id, run.carrier
from event_id
join event on event.day = event_id.day and event.shard = event_id.shard and event.pos = event_id.pos
join run on run.id = event.run
where event_id.id = any($1::uuid[]) and run.carrier is not null;

-- name: add_month
-- Note a month with its key, unless it is known: (month, key).
insert into report_month (month, key) values ($1, $2) on conflict do nothing;

-- name: months
-- Read months by their first days.
select month, key, closed_at from report_month where month = any($1::date[]);

-- name: wait
-- Let a difference wait for company: (account, month, site, service, kpi, subject, mark, numerator, denominator).
insert into report_waiting (account, month, site, service, kpi, subject, mark, numerator, denominator)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
on conflict (account, month, site, service, kpi, subject) do update
set mark = excluded.mark, numerator = report_waiting.numerator + excluded.numerator,
  denominator = report_waiting.denominator + excluded.denominator;

-- name: drop_nothing
-- Forget what came to nothing.
delete from report_waiting where numerator = 0 and denominator = 0;

-- name: waiting
-- Read what waits for cells: (account[], month[], site[], service[], kpi[]).
select waiting.account, waiting.month, waiting.site, waiting.service, waiting.kpi, waiting.mark, waiting.numerator,
  waiting.denominator
from unnest($1::text[], $2::date[], $3::text[], $4::text[], $5::text[]) as cell (account, month, site, service, kpi)
join report_waiting as waiting on waiting.account = cell.account and waiting.month = cell.month and waiting.site = cell.site
  and waiting.service = cell.service and waiting.kpi = cell.kpi;

-- name: empty_cell
-- Forget what waited for a cell: (account, month, site, service, kpi).
delete from report_waiting
where account = $1 and month = $2 and site = $3 and service = $4 and kpi = $5;

-- name: add_to_cell
-- Make a cell, or add a step to it: (account, month, site, service, kpi, numerator, denominator, strength).
insert into report_cell (account, month, site, service, kpi, numerator, denominator, strength)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (account, month, site, service, kpi) do update
set numerator = report_cell.numerator + excluded.numerator, denominator = report_cell.denominator + excluded.denominator,
  strength = report_cell.strength + excluded.strength;

-- name: cells
-- Read the figures of an account (empty: of all) for months, a site or all, a service or all, but those of counters: (account, from, until, site, service, limit).
select month, service, site, kpi, numerator, denominator, strength
from report_cell
where account = $1 and month >= $2 and month <= $3 and ($4::text is null or site = $4) and ($5::text is null or service = $5)
  and service <> 'counter'
order by month, service, site, kpi
limit $6;

-- name: cells_of
-- Read the figures of a service at a site in a month: (site, service, month).
select month, service, site, kpi, numerator, denominator, strength
from report_cell where account = '' and site = $1 and service = $2 and month = $3 order by kpi;

-- name: to_close
-- Which months that are over are not closed?
select month from report_month where closed_at is null and month < $1 order by month;

-- name: close_month
-- Destroy the key of a month.
update report_month set key = null, closed_at = now() where month = $1 and closed_at is null;

-- name: forget_waiting
-- Forget what still waited in a month.
delete from report_waiting where month = $1;

-- name: forget_subjects
-- Forget things that nothing was said of since a day.
delete from report_subject where touched_on < $1;
