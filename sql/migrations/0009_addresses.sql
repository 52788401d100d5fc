-- Addresses: found by street and by place; a commune knows when its addresses last changed
--
-- `address_by_street` is how a look-up reads: the streets of a commune first (one group each), then the numbers of the few that
-- fit. Text is compared in the process, over the streets of the communes that the words name, so no trigram index is needed and
-- any PostgreSQL will do (measured: `fieldsvc bench geocode`). `address_by_place` finds what lies in a box of a few hundred
-- metres. `commune.changed_at` is the wall-clock time of the import that last changed one of its addresses; imports take turns,
-- so a newer import never has an older time.

drop index address_by_commune;
create index address_by_street on address (citycode, street, postcode);
create index address_by_place on address (lat, lon);

alter table commune add column changed_at timestamptz not null default clock_timestamp();
