-- purpose: operation

-- name: is_held
-- Is there anything of services that hold health data: sealed parts, what is known of their subjects, their tasks: (service[])?
select exists (select from sealed where purpose = 'health') or exists (select from state where handler = any($1::text[]))
  or exists (select from task where service = any($1::text[]));

-- name: has_tables
-- Are there tables for health data?
select to_regclass('sealed_health') is not null;

-- name: make_tables
-- Make the tables for health data; upkeep makes their months.
create table if not exists sealed_health partition of sealed for values in ('health') partition by range (month);

-- name: drop_tables
-- Drop the tables for health data, which are empty.
drop table if exists sealed_health;
