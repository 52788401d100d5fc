-- Codes of paper notices: who holds one finds the item by it. Made by the phone at the door, written by hand on the notice, kept
-- only as a digest under the store's key; one notice may be about several items of one door.

create table notice_code (
  code_hmac bytea not null,
  subject text not null,
  left_at timestamptz not null,
  constraint notice_code_pk primary key (code_hmac, subject)
);
create index notice_code_by_left_at on notice_code (left_at);
