-- Access: who is calling. Every credential is kept only as a SHA-256 of at least 32 random bytes
--
-- `device` (0001) is a phone with its own token. An `account` is an organisation with an API key (kind 'subscriber') or a
-- person who signs in. A `sign_in` link becomes a `session` once; the links of the demo any number of times, until they are
-- withdrawn. An `enrolment` is a one-time code that becomes a device: its ticket finds the row, its secret is only hashed.

create sequence device_number;

create table account (
  id text not null constraint account_pk primary key,
  kind text not null constraint account_kind check (kind in
    ('subscriber', 'supervisor', 'adviser', 'counter', 'address_quality', 'operator', 'auditor', 'partner', 'member')),
  name text not null,
  email text,
  site text,
  parent text constraint account_parent references account,
  scopes text[] not null default '{}',
  api_key_sha256 bytea constraint account_api_key unique,
  created_at timestamptz not null,
  revoked_at timestamptz
);

create unique index account_person on account (kind, lower(email), coalesce(site, ''), coalesce(parent, ''))
  where email is not null and revoked_at is null;

create table sign_in (
  token_sha256 bytea not null constraint sign_in_pk primary key,
  account text not null constraint sign_in_account references account,
  reusable boolean not null default false,
  expires_at timestamptz constraint sign_in_ends check (expires_at is not null or reusable),
  used_at timestamptz
);

create table session (
  token_sha256 bytea not null constraint session_pk primary key,
  account text not null constraint session_account references account,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  ended_at timestamptz
);

create table enrolment (
  ticket text not null constraint enrolment_pk primary key,
  secret_sha256 bytea not null,
  carrier text not null,
  site text not null,
  round_id text,
  created_by text,
  expires_at timestamptz not null,
  tries_left smallint not null default 5,
  used_at timestamptz,
  device text
);
