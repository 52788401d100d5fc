-- Requests: delivery changes as screens, sheets and the jobs around them need them; the journal holds the rest
--
-- Written only by decisions, in the journal's commit. `sealed` holds the details under the key of the subject's person, `steps`
-- the states it came to (state|at|reason|instead|other). `closed_at` is when nothing more can come of it by itself; late facts
-- are still told to it for thirty days. `sheet_version` is the first version of `sheet_run`'s sheet on which it stands.
-- `target_hmac` is a keyed digest of a new address: by it, requests that all lead to one place are counted.
--
-- `contact` holds ways to reach the people of an address that were once proved: by the code of a letter, or at a counter.
-- One that was replaced is kept, so that whoever had it before is told as well.
--
-- `task.loaded_at`: since when the item of a task is out with the carrier.

create table request (
  id text not null constraint request_pk primary key,
  subject text not null,
  kind text not null,
  state text not null,
  step text not null,
  reason text,
  instead text,
  other text,
  asked_by text,
  identity text not null,
  high_risk boolean not null,
  risk_reasons text[] not null,
  asked_at timestamptz not null,
  state_at timestamptz not null,
  from_day date,
  to_day date,
  starts_at timestamptz,
  ends_at timestamptz,
  since timestamptz,
  sheet_at timestamptz,
  cooled_at timestamptz,
  target_hmac text,
  closed_at timestamptz,
  on_sheet boolean not null,
  steps text[] not null,
  sealed bytea not null,
  sheet_run text,
  sheet_version bigint,
  letters integer not null default 0
) with (fillfactor = 70);

create index request_by_subject on request (subject, asked_at);
create index request_by_target on request (target_hmac, asked_at) where target_hmac is not null;
create index request_by_step on request (step) where closed_at is null;

create table contact (
  id uuid not null default gen_random_uuid() constraint contact_pk primary key,
  delivery_point text not null,
  digest text not null,
  sealed bytea not null,
  verified_at timestamptz not null,
  replaced_at timestamptz,
  constraint contact_once unique (delivery_point, digest)
);

alter table task add column loaded_at timestamptz;
