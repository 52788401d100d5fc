-- Customers: who signs in to follow their own mail, and how anybody signs in with a provider or a code by mail
--
-- A customer's account holds no address. What is known of them is in `customer`: the address sealed under a key of their own, and
-- two digests under a key of the store by which they are found again, of the address once it was proved and of (issuer, subject).
-- A `sign_in_code` is what a mail brings: its ticket stays in the browser that asked, its code is only a digest. A
-- `sign_in_answer` is an answer of a provider that was used: no second one with its state is taken. A session keeps how strongly
-- and when its person proved who they are, and what the provider needs to end its own session.

alter table account drop constraint account_kind;
alter table account add constraint account_kind check (kind in
  ('subscriber', 'supervisor', 'adviser', 'counter', 'address_quality', 'operator', 'auditor', 'partner', 'member', 'customer'));

create table customer (
  account text not null constraint customer_pk primary key constraint customer_account references account,
  email_hmac bytea constraint customer_email unique,
  identity_hmac bytea constraint customer_identity unique,
  sealed bytea,
  seen_on date not null
);

create table sign_in_code (
  ticket_sha256 bytea not null constraint sign_in_code_pk primary key,
  email_hmac bytea not null,
  code_hmac bytea not null,
  made_at timestamptz not null,
  expires_at timestamptz not null,
  tries_left smallint not null,
  used_at timestamptz
);

create index sign_in_code_by_email on sign_in_code (email_hmac, made_at);

create table sign_in_answer (
  state_sha256 bytea not null constraint sign_in_answer_pk primary key,
  expires_at timestamptz not null
);

alter table session add column acr text, add column proved_at timestamptz, add column sealed bytea;
