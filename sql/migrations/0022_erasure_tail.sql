-- What a copy of the store can know of the erasures outside it, and when a fact that names a picture happened
--
-- `store.erasures_written` and `erasures_mac` say how many lines the file of erasures had when this store last wrote to it, and how
-- the last of them ended: a file that is gone, or whose last lines are, is noticed when the store is opened. A copy from before
-- those lines knows fewer of them.
--
-- `media_want.occurred_at`: what happened before an erasure and is told after it gets no key, and its picture none either.

alter table store add column erasures_written bigint not null default 0, add column erasures_mac bytea;

alter table media_want add column occurred_at timestamptz;
