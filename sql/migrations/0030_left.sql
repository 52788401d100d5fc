-- What a sheet goes on saying: the day and the round from which another date took an item. It may be in the bag already, so that
-- day's sheet goes on saying not to present it, and its supervisor goes on seeing what was asked.
--
-- Looks at the alerts of earlier days are read by every carrier of the site, like those at the list of a past day.

alter table request add column left_day date, add column left_round text;
create index request_by_left on request (left_day, left_round) where left_day is not null;
create index request_by_sheet_run on request (sheet_run) where closed_at is null;

drop index audit_by_list;
create index audit_by_list on audit (day, pos) where action in ('runs.listed', 'alerts.listed');
