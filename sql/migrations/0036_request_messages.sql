-- Messages on requests: since when one waits for an answer of the office
--
-- The messages themselves are facts of the story of what the request is about, sealed like it; this column only makes the list of
-- those that wait, and says nothing alone.

alter table request add column message_at timestamptz;

create index request_by_message on request (message_at, id) where message_at is not null;
