-- The journal: what was said, who may read it, and what follows from it
--
-- One table holds the truth. `event` has a row for every field event that was accepted (kind 'field') and for every public
-- event that follows from it (kind 'public'); both are written by one transaction, so there is no second queue that could
-- lose or reorder anything. Rows are only ever inserted, and leave by dropping a day's partition.
--
-- Order. A subject (`item/RK1…`, `pouch/P-5521`) belongs to one of four shards. Whoever writes locks the shard rows first,
-- and holds them until commit; so within a shard the order of commits is the order of `(day, pos)`, and a reader whose
-- cursor is `(day, pos)` per shard can never pass a row that is still in flight. `pos` increases and may have gaps (a
-- refused duplicate leaves one); `subject_seq` counts the public events of a subject and has none.
--
-- Sameness. `event_id` remembers every id with an HMAC of its content. The same id again is a duplicate, or a conflict if
-- the content differs. It is partitioned by the time inside a UUIDv7, for twenty years at once, so that nothing is ever
-- attached beside the default partition, which takes version-4 ids, hashes and wrong clocks.
--
-- Discretion. `event.public` holds no personal field. What is personal, health or secret lies in `sealed`, encrypted with a
-- key of the person it is about; `person_key` wraps those keys with a master key that is not in this database. The row holds
-- the digests of its ciphertexts, so the chain over a shard still verifies when a sealed part has been erased.
--
-- Decisions. `state` is what a service knows of a subject: the facts so far, in the order they happened. `subject_head`
-- counts its public events and names the account and person it belongs to. `timer` holds what must happen later, and the
-- commands that one subject's decision sends to another. All of them change only in the transaction that inserts events.
--
-- Answers. `receipt` holds one signed receipt a request, chained per device; `quarantine` keeps what was said but could not
-- be taken, sealed, with the reason, until a person decides.
--
-- Cost. Secondary indexes are few: each one is paid by every event. The tables that are updated in place (shard,
-- subject_head, state, timer, device) are small or have room in their pages, so that updates touch no index.

create table store (
  only_row boolean not null default true constraint store_pk primary key constraint store_one_row check (only_row),
  epoch uuid not null,
  content_key bytea not null,
  signing_key bytea not null,
  signing_public bytea not null,
  installed_at timestamptz not null
);

create table shard (
  id smallint not null constraint shard_pk primary key,
  writer uuid
) with (fillfactor = 50);

insert into shard (id) values (0), (1), (2), (3);

create table event (
  day date not null,
  shard smallint not null,
  pos bigint not null,
  id uuid not null,
  part smallint not null,
  kind text not null constraint event_kind check (kind in ('field', 'public')),
  type text not null,
  subject text not null,
  subject_seq bigint,
  account text,
  site text,
  run text,
  occurred_at timestamptz not null,
  received_at timestamptz not null,
  public bytea not null,
  sealed_sha256 bytea[] not null,
  chain bytea not null,
  constraint event_pk primary key (day, shard, pos)
) partition by range (day);

create index event_by_id on event (id);
create index event_by_account on event (account, shard, pos) where kind = 'public';

create table event_id (
  id uuid not null constraint event_id_pk primary key,
  day date not null,
  shard smallint not null,
  pos bigint not null,
  site text,
  content_hmac bytea not null,
  received_at timestamptz not null
) partition by range (id);

create table sealed (
  purpose text not null,
  month date not null,
  event_id uuid not null,
  part smallint not null,
  person text not null,
  key_id uuid not null,
  nonce bytea not null,
  ciphertext bytea not null,
  constraint sealed_pk primary key (event_id, part, purpose, month)
) partition by list (purpose);

create table sealed_personal partition of sealed for values in ('personal') partition by range (month);
create table sealed_health partition of sealed for values in ('health') partition by range (month);
create table sealed_secret partition of sealed for values in ('secret') partition by range (month);

create table person_key (
  person text not null,
  key_id uuid not null,
  wrapped bytea,
  destroyed_at timestamptz,
  constraint person_key_pk primary key (person, key_id),
  constraint person_key_gone check ((wrapped is null) = (destroyed_at is not null))
);

create index person_key_by_id on person_key (key_id);
create unique index person_key_live on person_key (person) where destroyed_at is null;

create table subject_head (
  subject text not null constraint subject_head_pk primary key,
  seq bigint not null,
  account text,
  person text,
  touched_on date not null
) with (fillfactor = 70);

create table state (
  handler text not null,
  subject text not null,
  person text,
  key_id uuid,
  nonce bytea,
  body bytea not null,
  version bigint not null,
  constraint state_pk primary key (handler, subject)
) with (fillfactor = 70);

create table timer (
  id uuid not null constraint timer_pk primary key,
  due_at timestamptz not null,
  handler text not null,
  kind text not null,
  subject text not null,
  key text not null default '',
  payload jsonb not null,
  constraint timer_once unique (handler, kind, subject, key)
) with (fillfactor = 70);

create index timer_by_due on timer (due_at);

create table device (
  id text not null constraint device_pk primary key,
  carrier text not null,
  site text not null,
  round_id text,
  token_sha256 bytea not null constraint device_token unique,
  passphrase text,
  enrolled_at timestamptz not null,
  revoked_at timestamptz,
  lost_at timestamptz,
  receipt_no bigint not null default 0,
  receipt_hash bytea not null default '\x'
) with (fillfactor = 50);

create table receipt (
  device text not null,
  no bigint not null,
  at timestamptz not null,
  previous bytea not null,
  body bytea not null,
  signature bytea not null,
  constraint receipt_pk primary key (device, no, at)
) partition by range (at);

create table quarantine (
  id uuid not null constraint quarantine_pk primary key,
  at timestamptz not null,
  reason text not null,
  device text,
  site text,
  digest bytea not null,
  body bytea not null,
  settled_at timestamptz,
  settled_as text,
  constraint quarantine_once unique (device, digest)
);

-- Make day partitions of the journal from a day on; detached first, so that readers of the parent never wait for long.
create function make_days(first date, count integer) returns integer language plpgsql as $$
declare
  made integer := 0;
  day date;
  name text;
begin
  for step in 0 .. count - 1 loop
    day := first + step;
    name := 'event_' || to_char(day, 'YYYYMMDD');
    if to_regclass(name) is null then
      execute format('create table %I (like event including defaults including constraints)', name);
      execute format('alter table %I add constraint %I check (day >= %L and day < %L)', name, name || '_day', day, day + 1);
      execute format('alter table event attach partition %I for values from (%L) to (%L)', name, day, day + 1);
      execute format('alter table %I drop constraint %I', name, name || '_day');
      made := made + 1;
    end if;
  end loop;
  return made;
end
$$;

-- Make month partitions of the sealed parts and the receipts from a month on.
create function make_months(first date, count integer) returns integer language plpgsql as $$
declare
  made integer := 0;
  month date;
  name text;
begin
  for step in 0 .. count - 1 loop
    month := (date_trunc('month', first) + make_interval(months => step))::date;
    foreach name in array array['sealed_personal', 'sealed_health', 'sealed_secret', 'receipt'] loop
      if to_regclass(name || '_' || to_char(month, 'YYYYMM')) is null then
        execute format('create table %I partition of %I for values from (%L) to (%L)',
          name || '_' || to_char(month, 'YYYYMM'), name, month, (month + interval '1 month')::date);
        made := made + 1;
      end if;
    end loop;
  end loop;
  return made;
end
$$;

-- The smallest UUIDv7 of a moment: its 48 bits of milliseconds, then zeros.
create function uuid_at(moment timestamptz) returns uuid language sql immutable as $$
  select (lpad(to_hex((extract(epoch from moment) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;

do $$
declare
  starts timestamptz;
begin
  for step in 0 .. 79 loop
    starts := (make_date(extract(year from now())::integer, 1, 1) + make_interval(months => 3 * step))::timestamp at time zone 'UTC';
    execute format('create table %I partition of event_id for values from (%L) to (%L)',
      'event_id_' || to_char(starts at time zone 'UTC', 'YYYY"q"Q'), uuid_at(starts),
      uuid_at((starts at time zone 'UTC' + interval '3 months') at time zone 'UTC'));
  end loop;
end
$$;

create table event_id_other partition of event_id default;

select make_days((now() at time zone 'UTC')::date - 1, 9);
select make_months((now() at time zone 'UTC')::date, 3);
