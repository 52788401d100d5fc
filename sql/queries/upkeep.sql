-- purpose: operation

-- name: make_days
-- Make missing day partitions.
select make_days($1, $2);

-- name: make_months
-- Make missing month partitions.
select make_months($1, $2);

-- name: make_days_of
-- Make missing day partitions of `progress` or `track`: (table, first day, how many).
select make_days_of($1, $2, $3);

-- name: drop_days_of
-- Drop the day partitions of `progress` or `track` before a day.
select drop_days_of($1, $2);
