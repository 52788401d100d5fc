-- Notices: what persons are told by mail, text message or letter
--
-- Queued by decisions, in the journal's commit; `key` is the decision's own, so that nothing is told twice. `sealed` holds the
-- address and the words of the template under the key of the person, until it is sent: then it is emptied. What cannot be
-- sent stays with its reason (`not_sent`: nothing here can send it; `failed`: it was tried in vain) until it is too old.
-- `next_at` is when it is tried next; whoever tries it moves that ahead, so that two processes never send the same one at once.

create table notice (
  id uuid not null default gen_random_uuid() constraint notice_pk primary key,
  key text not null constraint notice_once unique,
  template text not null,
  way text not null,
  lang text not null,
  sealed bytea,
  state text not null default 'queued' constraint notice_state check (state in ('queued', 'sent', 'not_sent', 'failed')),
  reason text,
  attempts smallint not null default 0,
  queued_at timestamptz not null,
  next_at timestamptz not null,
  settled_at timestamptz
) with (fillfactor = 70);

create index notice_by_turn on notice (next_at) where state = 'queued';
create index notice_by_end on notice (settled_at) where state <> 'queued';
