-- purpose: operation

-- name: lock
-- Lock the shards of a batch, in order: the fence, the commit order and the WAL record of every acknowledgement.
select id, writer from shard where id = any($1::smallint[]) order by id for no key update;

-- name: take
-- Note that this writer wrote last.
update shard set writer = $2 where id = any($1::smallint[]);

-- name: end_frozen
-- End the sessions of writers that let the server wait for rows in the middle of a COPY: no time-out of a session covers that.
select pg_terminate_backend(pid)
from pg_stat_activity
where datname = current_database() and usename = current_user and pid <> pg_backend_pid()
  and application_name = current_setting('application_name') and query ~ '^COPY "(event|sealed|receipt)"'
  and state = 'active' and wait_event = 'ClientRead' and query_start < now() - make_interval(secs => $1);
