-- purpose: operation

-- name: ages
-- Tell how old the rows of a table are: the oldest, and how many are from before a moment: (table, since, before).
select oldest, over from kept_ages($1, $2, $3);

-- name: forget
-- Delete at most so many rows from before a moment: (table, since, before, most).
select forget_rows($1, $2, $3, $4);

-- name: drop_days
-- Drop the day partitions of a table before a day.
select drop_days_of($1, $2);

-- name: drop_months
-- Drop the month partitions of a table before a month.
select drop_months_of($1, $2);

-- name: near_cursors
-- Find endpoints that have not read what is dropped soon: (before).
select cursor.endpoint, min(cursor.day) as day from cursor
where cursor.day < $1
  and exists (select from event where event.shard = cursor.shard and event.day < $1
    and (event.day > cursor.day or (event.day = cursor.day and event.pos > cursor.pos)))
group by cursor.endpoint order by cursor.endpoint;
