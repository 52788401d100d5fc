-- Households: who proved by a letter that they live at a delivery point, and what they tell their carriers
--
-- Written only by decisions, in the journal's commit. `sealed` holds names, the place of the box, the floor, the door code and the
-- standing instructions under the household's own key; it is opened for the sheet of the round and for the customer of `account`.
-- `touched_at` is when the household last said something: what nobody has confirmed for thirteen months is let go.
--
-- `visit_relative` says, by a keyed digest of a mail address, who may follow a visit: whom the visited person named, until when.
--
-- A customer reads the households of their own account, and a case whose number they have shown to be theirs.

create table household (
  id text not null constraint household_pk primary key,
  delivery_point_id text not null,
  account text not null,
  letter_id text not null,
  state text not null constraint household_state check (state in ('asked', 'closed', 'proved', 'left')),
  tries integer not null,
  asked_at timestamptz not null,
  proved_at timestamptz,
  touched_at timestamptz not null,
  ended_at timestamptz,
  sealed bytea not null
);

create index household_by_account on household (account, id);
create index household_by_point on household (delivery_point_id, id);
create index household_by_time on household (touched_at);

create table visit_relative (
  visit text not null,
  digest bytea not null,
  day date not null,
  until date,
  constraint visit_relative_pk primary key (visit, digest)
);

create index visit_relative_by_digest on visit_relative (digest, day);
create index visit_relative_by_day on visit_relative (day);

alter table household enable row level security;
grant select on household to fieldsvc_reader;
create policy own on household for select to fieldsvc_reader using (viewer('role') = 'customer' and account = viewer('account'));

create policy own on case_file for select to fieldsvc_reader using (viewer('role') = 'customer' and id = viewer('reference'));
create policy own on access_case for select to fieldsvc_reader using (
  viewer('role') = 'customer' and exists (
    select from household
    where household.delivery_point_id = access_case.delivery_point_id and household.account = viewer('account')
      and household.state = 'proved'));
