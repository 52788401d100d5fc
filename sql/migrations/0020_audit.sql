-- Audit: who looked at what, and who changed whose rights, in a chain that cannot be changed unseen
--
-- A row is a look or a deed; it names things and never holds what was seen. Rows are only ever inserted, by `audit_note`, and
-- leave by dropping a month; UPDATE, DELETE and TRUNCATE are refused whoever asks. Who turns that off is found out: each row's
-- `chain` is SHA-256 over the `chain` before it and the row, and the chain runs on from day to day.
--
-- One writer at a time. `audit_end` is the last link; whoever appends locks that row first, so that processes cannot fork the
-- chain, and times never go back in it. `audit_head` keeps links that the store signed, hourly and at the end of each day; they
-- also go to a file outside this database and to the log, so that a chain made anew does not fit them. `epoch` is that of the
-- store: after a restore the chain goes on from what was restored with a row that says so.
--
-- `carrier_ref` is a keyed digest of whose work was looked at, so that a carrier finds their own rows and a dump names nobody.

create table audit (
  day date not null,
  pos bigint not null,
  at timestamptz not null,
  actor text not null,
  role text not null,
  action text not null,
  subject text not null,
  reason text,
  site text,
  carrier_ref text,
  chain bytea not null,
  constraint audit_pk primary key (day, pos),
  constraint audit_plain check (concat(actor, role, action, subject, reason, site, carrier_ref) !~ '[[:cntrl:]]')
) partition by range (day);

create index audit_by_carrier on audit (carrier_ref, day, pos) where carrier_ref is not null;
create index audit_by_list on audit (day, pos) where action = 'runs.listed';

create table audit_end (
  only_row boolean not null default true constraint audit_end_pk primary key constraint audit_end_one_row check (only_row),
  day date not null,
  pos bigint not null,
  at timestamptz not null,
  chain bytea not null,
  epoch uuid
) with (fillfactor = 50);

insert into audit_end (day, pos, at, chain) values ('2000-01-01', 0, '2000-01-01 00:00:00+00', sha256('fieldsvc audit'));

create table audit_head (
  epoch uuid not null,
  day date not null,
  pos bigint not null,
  at timestamptz not null,
  chain bytea not null,
  signature bytea not null,
  constraint audit_head_pk primary key (epoch, day, pos)
);

create function audit_refused() returns trigger language plpgsql as $$
begin
  raise exception 'The audit log is only ever appended to.' using errcode = 'insufficient_privilege';
end
$$;

create trigger audit_append_only before update or delete on audit for each row execute function audit_refused();
create trigger audit_not_truncated before truncate on audit for each statement execute function audit_refused();
create trigger audit_head_append_only before update or delete on audit_head for each row execute function audit_refused();
create trigger audit_head_not_truncated before truncate on audit_head for each statement execute function audit_refused();

-- Append one row and return its position. The times in the chain never go back, also where the clock does.
create function audit_note(actor text, role text, action text, subject text, reason text, site text, carrier_ref text)
returns bigint language plpgsql as $$
declare
  last record;
  moment timestamptz;
  today date;
  place bigint;
  link bytea;
begin
  select audit_end.day, audit_end.pos, audit_end.at, audit_end.chain into strict last from audit_end for update;
  moment := greatest(clock_timestamp(), last.at);
  today := (moment at time zone 'UTC')::date;
  place := case when today = last.day then last.pos + 1 else 1 end;
  link := sha256(last.chain || convert_to(array_to_string(array[
    today::text, place::text, (extract(epoch from moment) * 1000000)::bigint::text,
    actor, role, action, subject, reason, site, carrier_ref], chr(31), chr(30)), 'UTF8'));
  insert into audit (day, pos, at, actor, role, action, subject, reason, site, carrier_ref, chain)
  values (today, place, moment, actor, role, action, subject, reason, site, carrier_ref, link);
  update audit_end set day = today, pos = place, at = moment, chain = link;
  return place;
end
$$;

-- Make month partitions of the audit log from a month on; return how many were missing.
create function make_audit_months(first date, count integer) returns integer language plpgsql as $$
declare
  made integer := 0;
  month date;
  name text;
begin
  perform pg_advisory_xact_lock(hashtextextended('audit', 8119));
  for step in 0 .. count - 1 loop
    month := (date_trunc('month', first) + make_interval(months => step))::date;
    name := 'audit_' || to_char(month, 'YYYYMM');
    if to_regclass(name) is null then
      execute format('create table %I partition of audit for values from (%L) to (%L)',
        name, month, (month + interval '1 month')::date);
      execute format('create trigger audit_not_truncated before truncate on %I for each statement execute function audit_refused()', name);
      made := made + 1;
    end if;
  end loop;
  return made;
end
$$;

-- Drop the months of the audit log before the month of a day; return how many there were.
create function drop_audit_months(before date) returns integer language plpgsql as $$
declare
  dropped integer := 0;
  child text;
begin
  perform pg_advisory_xact_lock(hashtextextended('audit', 8119));
  for child in
    select inhrelid::regclass::text from pg_inherits
    where inhparent = 'audit'::regclass and right(inhrelid::regclass::text, 6) < to_char(before, 'YYYYMM')
  loop
    execute format('drop table %I', child);
    dropped := dropped + 1;
  end loop;
  return dropped;
end
$$;

select make_audit_months((now() at time zone 'UTC')::date - 1, 4);
