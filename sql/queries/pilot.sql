-- purpose: operation

-- name: all
-- List the services that are piloted, with their sites.
select service, sites from pilot order by service;

-- name: put
-- Pilot a service at these sites and nowhere else.
insert into pilot (service, sites, changed_at) values ($1, $2, now())
on conflict (service) do update set sites = excluded.sites, changed_at = excluded.changed_at;

-- name: end
-- End the pilot of a service: from now on it is everywhere.
delete from pilot where service = $1;
