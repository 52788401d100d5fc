-- Endpoints: what a subscriber may ask for, how long one has been failing, and attempts that are found
--
-- An endpoint says how it wants its events (`mode`, `batch`, `format`), which ones (`filter`, `sites`, `postcodes`), with which
-- headers of its own (sealed under the master key: names and values, a bearer among them), how fast (`rate_per_s`, `in_flight`;
-- null is the service's own), and what follows when a schedule is used up. `lane.failing_since` is the first failure since the
-- last success, `warned` the last share of the way to being disabled that was told, in percent.
--
-- An attempt that carried a batch names its events; `event_id` is then the id of the batch. `repeats` counts the attempts that a
-- row stands for: equal failures are sampled. Who looks for one event's attempts finds the batches by `batches_with`: row-level
-- security would not let an index of arrays be used, so the function has the wall in itself.

alter table endpoint
  add column mode text not null default 'subject' constraint endpoint_mode check (mode in ('subject', 'parallel')),
  add column batch smallint not null default 1 constraint endpoint_batch check (batch between 1 and 100),
  add column format text not null default 'cloudevents'
    constraint endpoint_format check (format in ('cloudevents', 'epcis', 'fhir', 'suivi')),
  add column filter jsonb,
  add column sites text[] not null default '{}',
  add column postcodes text[] not null default '{}',
  add column sealed_headers bytea,
  add column rate_per_s double precision constraint endpoint_rate check (rate_per_s > 0),
  add column in_flight smallint constraint endpoint_in_flight check (in_flight > 0),
  add column on_exhausted text not null default 'dead_letter'
    constraint endpoint_on_exhausted check (on_exhausted in ('dead_letter', 'block')),
  add column schedule double precision[],
  add column description text not null default '',
  add column resumed_at timestamptz;

alter table lane
  add column failing_since timestamptz,
  add column last_failed_at timestamptz,
  add column warned smallint not null default 0;

alter table attempt
  add column subject text,
  add column replay text,
  add column event_ids text[],
  add column repeats integer not null default 1;

create index attempt_by_event on attempt (endpoint, event_id, at desc);
create index attempt_by_subject on attempt (endpoint, subject, at desc) where subject is not null;
create index attempt_by_replay on attempt (endpoint, replay, at desc) where replay is not null;
create index attempt_failed on attempt (endpoint, at desc) where status is null or status not between 200 and 299;
create index attempt_by_batch on attempt using gin (event_ids) where event_ids is not null;

create index dead_letter_by_time on dead_letter (endpoint, at desc, event_id);

-- The attempts on batches with one event, of an endpoint of the account that reads.
create function batches_with(wanted_endpoint text, wanted_event text) returns table (day date, event_id text, n integer, at timestamptz)
language sql stable security definer set search_path from current set enable_bitmapscan = on set enable_seqscan = off as $$
  select attempt.day, attempt.event_id, attempt.n, attempt.at from attempt
  where attempt.event_ids @> array[wanted_event] and attempt.endpoint = wanted_endpoint
    and exists (select from endpoint where endpoint.id = wanted_endpoint and endpoint.account = viewer('account'))
$$;

revoke execute on function batches_with(text, text) from public;
grant execute on function batches_with(text, text) to fieldsvc_subscriber;
