-- Keys: an account has several API keys, its receivers have certificates, and people say which mails they do not want
--
-- `api_key` is one key of an account, by its hash alone; its scopes are at most those of the account. The key that an account was
-- made with stays in `account.api_key_sha256`. `last_used_on` is a day and no more: nobody is followed by it. `certificate` is one
-- run of the hostile day against a receiver, with its grades; a run that has no end after an hour was broken off. `unwanted_mail`
-- holds a keyed digest of an address and a kind of mail that it does not want: the address itself is nowhere. `audit_of_accounts` finds what was done in an
-- account among the many looks of others.

create table api_key (
  id text not null constraint api_key_pk primary key,
  account text not null constraint api_key_account references account,
  name text not null,
  key_sha256 bytea not null constraint api_key_once unique,
  scopes text[] not null,
  created_by text not null,
  created_at timestamptz not null,
  last_used_on date,
  revoked_at timestamptz
);

create index api_key_by_account on api_key (account, created_at);
alter table account add column api_key_used_on date;

create table certificate (
  id text not null constraint certificate_pk primary key,
  account text not null constraint certificate_account references account,
  url text not null,
  started_by text not null,
  started_at timestamptz not null,
  ended_at timestamptz,
  result text,
  body jsonb,
  done integer not null default 0,
  whole integer not null default 0
) with (fillfactor = 70);

create index certificate_by_account on certificate (account, started_at);

create table unwanted_mail (
  digest bytea not null,
  kind text not null,
  at timestamptz not null,
  constraint unwanted_mail_pk primary key (digest, kind)
);

create index audit_of_accounts on audit (day, pos) where role in ('member', 'subscriber') or subject like 'account/%';
