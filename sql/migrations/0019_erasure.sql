-- Erasure: who was erased, what is kept of them nevertheless and why, and how long everything else is kept
--
-- `erasure` says which keys were destroyed and when. It names nobody: `digest` is an HMAC of the person under a key of the store,
-- so that what a phone was still carrying about an erased person is known when it comes, and sealed with a key that nobody keeps.
-- Every row is written outside the database too (FIELDSVC_ERASURES_DIR); a copy of the store that is older than that file is
-- erased again before it serves.
--
-- `kept_proof` holds proofs of registered mail that are owed for a year after the hand-over, whoever of them was erased: made
-- while the person could be read, one for the sender and one for the operator, sealed under a key of the item's proof.
--
-- A `legal_hold` stops the retention of one purpose (journal/retention.py), or the erasure of one person, until it is ended; its
-- reference is that of a file at court or at the operator's, and says nothing of what is in it.
--
-- `store.place` is the cluster and the database in which the store last ran: in another one it was restored from a dump, and is
-- given a new epoch. `sealed.month` holds the day itself where the class is kept for days, health and secret; the partition is
-- still the month's.

create table erasure (
  id uuid not null constraint erasure_pk primary key,
  digest bytea not null,
  key_ids uuid[] not null,
  at timestamptz not null
);

create index erasure_by_digest on erasure (digest, at);

create table kept_proof (
  subject text not null,
  copy text not null constraint kept_proof_copy check (copy in ('sender', 'operator')),
  account text,
  site text,
  handed_over_at timestamptz not null,
  sealed bytea not null,
  constraint kept_proof_pk primary key (subject, copy)
);

create table legal_hold (
  id uuid not null constraint legal_hold_pk primary key,
  purpose text,
  person text,
  reference text not null,
  since timestamptz not null,
  ended_at timestamptz,
  constraint legal_hold_of_one check ((purpose is null) <> (person is null))
);

alter table store add column place text;

create index subject_head_by_person on subject_head (person) where person is not null;

-- Drop the month partitions of a table before the month of a day; return how many there were.
create function drop_months_of(parent text, before date) returns integer language plpgsql as $$
declare
  dropped integer := 0;
  child text;
begin
  perform pg_advisory_xact_lock(hashtextextended(parent, 8119));
  for child in
    select inhrelid::regclass::text from pg_inherits
    where inhparent = parent::regclass and right(inhrelid::regclass::text, 6) < to_char(before, 'YYYYMM')
  loop
    execute format('drop table %I', child);
    dropped := dropped + 1;
  end loop;
  return dropped;
end
$$;

-- How old the rows of a table are: the oldest, and how many are from before a moment. `since` is an expression of the catalogue
-- of purposes, never of a caller; null means that a row is not kept by it.
create function kept_ages(of_table text, since text, before timestamptz, out oldest timestamptz, out over bigint) language plpgsql as $$
begin
  execute format('select min((%s)::timestamptz), count(*) filter (where (%s)::timestamptz < $1) from %I', since, since, of_table)
    into oldest, over using before;
end
$$;

-- Delete at most so many rows of a table that are from before a moment; return how many it was.
create function forget_rows(of_table text, since text, before timestamptz, most integer) returns integer language plpgsql as $$
declare
  gone integer;
begin
  execute format('delete from %I where (tableoid, ctid) in (select tableoid, ctid from %I where (%s)::timestamptz < $1 limit $2)',
    of_table, of_table, since) using before, most;
  get diagnostics gone = row_count;
  return gone;
end
$$;
