-- Readers: what outsiders may read, by row, whatever a query asks
--
-- Two roles without login. The service reads as `fieldsvc_subscriber` for an account with an API key and as `fieldsvc_reader`
-- for people, phones and customers: `set local role`, with `app.role`, `app.account`, `app.site`, `app.carrier` and
-- `app.reference` set for the transaction (fieldsvc/store/viewer.py). It is the second wall behind the conditions of the
-- queries. The login of the service owns the tables and is not under it: it writes (COPY is refused under row-level security),
-- follows the journal for everybody at once, and decides who somebody is before there is anybody to read for.
--
-- Who is nobody sees nothing: an unset setting is null, and null is no row. A site '*' is every site. Rights are on parents
-- only; partitions are reached through them. A table without a line here is closed to both roles, and a column that is not
-- named where columns are named (hashes of tokens, lines of rounds, carriers of runs) too. Roles belong to the server and not
-- to one database: what is there already is used, and a login that may not make roles needs them made for it.

do $$
declare
  name text;
  kind text := case when current_setting('server_version_num')::integer >= 160000 then 'set' else 'member' end;
begin
  foreach name in array array['fieldsvc_reader', 'fieldsvc_subscriber'] loop
    begin
      if to_regrole(name) is null then
        execute format('create role %I nologin', name);
      end if;
    exception when duplicate_object or unique_violation then
      null;  -- another database of this server was first
    end;
    if not pg_has_role(current_user, name, kind) then
      execute format('grant %I to %I', name, current_user);
    end if;
    if not has_schema_privilege(name, current_schema(), 'usage') then
      execute format('grant usage on schema %I to %I', current_schema(), name);
    end if;
  end loop;
exception when insufficient_privilege then
  raise insufficient_privilege using message = format(
    'The database user %I may not make the roles that readers have. Let an administrator of the server do it once: '
    'create role fieldsvc_reader nologin; create role fieldsvc_subscriber nologin; '
    'grant fieldsvc_reader, fieldsvc_subscriber to %I; grant usage on schema %I to fieldsvc_reader, fieldsvc_subscriber;',
    current_user, current_user, current_schema());
end
$$;

-- What is set of the one who reads; null where nothing is.
create function viewer(name text) returns text language sql stable parallel safe as $$
  select nullif(current_setting('app.' || name, true), '')
$$;

-- Is this the site of the one who reads, or do they see every site?
create function viewer_at(site text) returns boolean language sql stable parallel safe as $$
  select viewer('site') = '*' or site = viewer('site')
$$;

-- The site that serves a delivery point.
create function site_of_point(point text) returns text language sql stable security definer set search_path from current as $$
  select round.site from round where round.id = coalesce(
    (select stop.round_id from stop where stop.delivery_point_id = point order by stop.round_id limit 1),
    (select delivery_point.round_id from delivery_point where delivery_point.id = point))
$$;

-- The site of an item's newest task, or of the delivery point that a subject is.
create function site_of_subject(subject text) returns text language sql stable security definer set search_path from current as $$
  select case when site_of_subject.subject like 'delivery\_point/%'
    then site_of_point(substr(site_of_subject.subject, length('delivery_point/') + 1))
    else (
      select round.site from task left join round on round.id = task.round_id where task.subject = site_of_subject.subject
      order by (task.state = 'planned') desc, task.day desc, task.id limit 1) end
$$;

revoke execute on function site_of_point(text), site_of_subject(text) from public;
grant execute on function site_of_point(text), site_of_subject(text) to fieldsvc_reader;

-- What an account reads: what it ordered, its endpoints and what became of them, its events; with the scope operator (its site
-- is '*') the events of every account but those of sandboxes. Of rounds and runs nothing that names anybody.
alter table task enable row level security;
alter table round enable row level security;
alter table run enable row level security;
alter table event enable row level security;
alter table subject_head enable row level security;
alter table endpoint enable row level security;
alter table lane enable row level security;
alter table parked enable row level security;
alter table dead_letter enable row level security;
alter table attempt enable row level security;

grant select on task, event, subject_head, endpoint, lane, parked, dead_letter, attempt to fieldsvc_subscriber;
grant select (id, site) on round to fieldsvc_subscriber;
grant select (id, day, round_id, risk) on run to fieldsvc_subscriber;

create policy own on task for select to fieldsvc_subscriber using (account = viewer('account'));
create policy known on round for select to fieldsvc_subscriber using (viewer('account') is not null);
create policy known on run for select to fieldsvc_subscriber using (viewer('account') is not null);
create policy own on event for select to fieldsvc_subscriber using (
  kind = 'public' and (account = viewer('account') or (viewer('site') = '*' and site is distinct from 'sandbox')));
create policy own on subject_head for select to fieldsvc_subscriber using (account = viewer('account') or viewer('site') = '*');
create policy own on endpoint for select to fieldsvc_subscriber using (account = viewer('account'));
create policy own on lane for select to fieldsvc_subscriber using (exists (select from endpoint where endpoint.id = lane.endpoint));
create policy own on parked for select to fieldsvc_subscriber using (
  exists (select from endpoint where endpoint.id = parked.endpoint));
create policy own on dead_letter for select to fieldsvc_subscriber using (
  exists (select from endpoint where endpoint.id = dead_letter.endpoint));
create policy own on attempt for select to fieldsvc_subscriber using (
  exists (select from endpoint where endpoint.id = attempt.endpoint));

-- What people read: of their own site, or of every one; the operator's own orders. A supervisor without a site sees none.
alter table stop enable row level security;
alter table delivery_point enable row level security;
alter table alarm enable row level security;
alter table alert enable row level security;
alter table address_report enable row level security;
alter table case_file enable row level security;
alter table access_case enable row level security;
alter table hazard enable row level security;
alter table idea enable row level security;
alter table request enable row level security;
alter table site enable row level security;
alter table roster enable row level security;
alter table absence enable row level security;
alter table carrier_of_site enable row level security;
alter table device enable row level security;
alter table account enable row level security;
alter table report_cell enable row level security;

grant select on task, run, stop, alarm, alert, address_report, case_file, access_case, hazard, idea, request, roster, absence,
  carrier_of_site, report_cell, subject_head to fieldsvc_reader;
grant select (id, site, mode, name, version) on round to fieldsvc_reader;
grant select (id, address, round_id) on delivery_point to fieldsvc_reader;
grant select (id, starts_at) on site to fieldsvc_reader;
grant select (site, carrier, revoked_at) on device to fieldsvc_reader;
grant select (id, kind, name, email) on account to fieldsvc_reader;

create policy of_site on round for select to fieldsvc_reader using (viewer('role') is not null and viewer_at(site));
create policy of_site on run for select to fieldsvc_reader using (
  viewer('role') in ('supervisor', 'adviser', 'operator') and viewer_at(site));
create policy of_site on stop for select to fieldsvc_reader using (exists (select from round where round.id = stop.round_id));
create policy known on delivery_point for select to fieldsvc_reader using (
  viewer('role') in ('supervisor', 'address_quality', 'operator') and viewer('site') is not null);
create policy of_site on site for select to fieldsvc_reader using (viewer('role') is not null and viewer_at(id));
create policy of_office on task for select to fieldsvc_reader using (
  account is null and viewer('role') in ('supervisor', 'adviser', 'operator')
  and (viewer('site') = '*' or exists (select from round where round.id = task.round_id and round.site = viewer('site'))));
create policy of_office on subject_head for select to fieldsvc_reader using (
  viewer('role') in ('supervisor', 'adviser', 'operator') and viewer('site') is not null);

create policy of_site on alert for select to fieldsvc_reader using (viewer('role') in ('supervisor', 'operator') and viewer_at(site));
create policy of_site on alarm for select to fieldsvc_reader using (viewer('role') in ('supervisor', 'operator') and viewer_at(site));
create policy own on alarm for select to fieldsvc_reader using (
  viewer('role') = 'carrier' and site = viewer('site') and carrier = viewer('carrier'));
create policy answers on account for select to fieldsvc_reader using (
  viewer('role') = 'carrier' and id in (select alarm.acknowledged_by from alarm));

create policy of_site on address_report for select to fieldsvc_reader using (
  viewer('role') in ('supervisor', 'address_quality', 'operator')
  and (viewer('site') = '*' or site_of_point(delivery_point_id) = viewer('site')));
create policy of_site on case_file for select to fieldsvc_reader using (
  viewer('role') in ('supervisor', 'adviser', 'operator') and viewer_at(site));
create policy of_site on access_case for select to fieldsvc_reader using (
  viewer('role') in ('supervisor', 'operator') and viewer_at(site));
create policy of_site on hazard for select to fieldsvc_reader using (
  viewer('role') in ('supervisor', 'operator') and viewer_at(site));
create policy of_colleagues on idea for select to fieldsvc_reader using (viewer('role') in ('carrier', 'supervisor', 'operator'));

-- A delivery change: by its reference for who has shown that it is theirs, else by the site of what it is about.
create policy own on request for select to fieldsvc_reader using (id = viewer('reference'));
create policy of_site on request for select to fieldsvc_reader using (
  viewer('role') in ('supervisor', 'adviser', 'counter', 'operator', 'carrier')
  and (viewer('site') = '*' or site_of_subject(subject) = viewer('site')));

create policy of_site on roster for select to fieldsvc_reader using (
  viewer('role') in ('supervisor', 'operator') and exists (select from round where round.id = roster.round_id));
create policy of_site on absence for select to fieldsvc_reader using (
  viewer('role') in ('supervisor', 'operator') and viewer_at(site));
create policy of_site on carrier_of_site for select to fieldsvc_reader using (
  viewer('role') in ('supervisor', 'operator') and viewer_at(site));
create policy of_site on device for select to fieldsvc_reader using (
  viewer('role') in ('supervisor', 'operator') and viewer_at(site));

-- Figures: of all orders for those who watch, of their own account's for a member.
create policy of_all on report_cell for select to fieldsvc_reader using (
  account = '' and viewer('role') in ('supervisor', 'operator', 'auditor') and viewer_at(site));
create policy own on report_cell for select to fieldsvc_reader using (viewer('role') = 'member' and account = viewer('account'));
