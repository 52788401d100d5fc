-- name: make_days
-- Make missing day partitions.
select make_days($1, $2);

-- name: make_months
-- Make missing month partitions.
select make_months($1, $2);
