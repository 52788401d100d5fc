-- The health module: an operator without it has no table for health data
--
-- `sealed_health` is dropped where FIELDSVC_HEALTH_MODULE=0, as long as it is empty, and made again with the module
-- (fieldsvc/journal/health.py). So months are made of the tables that there are.

create or replace function make_months(first date, count integer) returns integer language plpgsql as $$
declare
  made integer := 0;
  month date;
  name text;
begin
  for step in 0 .. count - 1 loop
    month := (date_trunc('month', first) + make_interval(months => step))::date;
    foreach name in array array['sealed_personal', 'sealed_health', 'sealed_secret', 'receipt'] loop
      if to_regclass(name) is not null and to_regclass(name || '_' || to_char(month, 'YYYYMM')) is null then
        execute format('create table %I partition of %I for values from (%L) to (%L)',
          name || '_' || to_char(month, 'YYYYMM'), name, month, (month + interval '1 month')::date);
        made := made + 1;
      end if;
    end loop;
  end loop;
  return made;
end
$$;
