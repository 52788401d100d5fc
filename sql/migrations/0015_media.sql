-- Media: the pictures that facts name, and which fact waits for which
--
-- A picture is addressed by the SHA-256 of the bytes that the phone sent; what is kept is its re-encoded form, as one object of
-- the store outside the database, encrypted with a key of its own. That key lies here: in `media.sealed_key` under the master
-- key until a fact names the picture, then once for every fact that does, in `media_want.sealed_key` under the key of the person
-- the fact is about. Erasing a person so closes a picture to everything said of that person, and to nothing else.
--
-- `media_want` is written by decisions, in the journal's commit, whether the picture is there or not. What joins the two sets
-- the timer `media` of the subject in the same commit, so the service tells its story again. A want leaves with the sealed parts
-- of its event (purpose × month); a picture that nothing wants leaves seven days after it came.

create table media (
  sha256 bytea not null constraint media_pk primary key constraint media_is_sha256 check (length(sha256) = 32),
  object text not null constraint media_object unique,
  kept_sha256 bytea not null,
  media_type text not null,
  size integer not null,
  width integer not null,
  height integer not null,
  device text not null,
  sealed_key bytea,
  arrived_at timestamptz not null
);

create index media_by_arrival on media (arrived_at);

create table media_want (
  sha256 bytea not null constraint media_want_is_sha256 check (length(sha256) = 32),
  event uuid not null,
  handler text not null,
  subject text not null,
  field text not null,
  purpose text not null,
  month date not null,
  site text,
  shared boolean not null,
  wanted_at timestamptz not null,
  key_id uuid,
  sealed_key bytea,
  linked_at timestamptz,
  constraint media_want_pk primary key (sha256, event, subject, field)
);

create index media_want_waiting on media_want (sha256) where linked_at is null;
create index media_want_by_purpose on media_want (purpose, month);
create index media_want_by_key on media_want (key_id) where key_id is not null;
