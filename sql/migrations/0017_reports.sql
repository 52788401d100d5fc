-- Reports: figures of which none is a carrier's; cases, ideas, and where a service is piloted
--
-- Figures. A `report_cell` is one figure of a service at a site in a month: of all orders (account ''), and again of each
-- account's own. It holds sums and nothing else. A job follows the journal by `report_cursor`, which moves in the transaction
-- that counts, so that each event counts once, whatever restarts. `report_subject` keeps what the public events of one thing
-- say, and what it adds to which cells; a correction changes that, and only the difference is counted.
--
-- Company. What is to be counted waits in `report_waiting` until at least five things of three carriers wait for the same
-- cell; then they are added in one step, and what told their carriers apart is deleted. So a cell is shown, moves, and is
-- corrected only by steps in which nobody stands alone: whoever asks twice, or subtracts one answer from another, has figures
-- of three carriers at least. `strength` says how many things may be taken out again before five of three carriers would not
-- be left; a cell without any is not shown.
--
-- Carriers. To tell three carriers apart, a waiting row has a `mark`: an HMAC of the cell and the carrier's name under a key
-- of the month. The mark of one carrier in two cells is not the same. The key lies here wrapped, until the month and seven
-- days are over (a phone may be offline for seven days): then the key and all that still waits are destroyed, late truth of
-- that month changes no figure any more, and nothing in these tables can be linked to anybody.
--
-- A `case_file` is a question that a person has to answer by a day; cases and ideas are written by decisions only. `pilot`
-- names the sites of a service that is not yet everywhere; a service without a row is.

create table report_cursor (
  shard smallint not null constraint report_cursor_pk primary key,
  day date not null,
  pos bigint not null
);

create table report_month (
  month date not null constraint report_month_pk primary key,
  key bytea,
  closed_at timestamptz,
  constraint report_month_key_gone check ((key is null) = (closed_at is not null))
);

create table report_subject (
  subject text not null constraint report_subject_pk primary key,
  facts jsonb not null,
  counted jsonb not null,
  touched_on date not null
) with (fillfactor = 70);

create index report_subject_by_day on report_subject (touched_on);

create table report_cell (
  month date not null,
  service text not null,
  site text not null,
  account text not null,
  kpi text not null,
  numerator bigint not null,
  denominator bigint not null,
  strength bigint not null,
  constraint report_cell_pk primary key (account, month, site, service, kpi)
) with (fillfactor = 70);

create table report_waiting (
  month date not null,
  service text not null,
  site text not null,
  account text not null,
  kpi text not null,
  subject text not null,
  mark bytea,
  numerator integer not null,
  denominator integer not null,
  constraint report_waiting_pk primary key (account, month, site, service, kpi, subject)
);

create index report_waiting_nothing on report_waiting (subject) where numerator = 0 and denominator = 0;

create table case_file (
  id text not null constraint case_file_pk primary key,
  kind text not null,
  subject text not null,
  site text,
  account text,
  state text not null constraint case_file_state check (state in ('open', 'closed')),
  opened_at timestamptz not null,
  due_at timestamptz,
  closed_at timestamptz,
  sealed bytea not null
);

create index case_file_by_time on case_file (opened_at, id);

create table idea (
  id text not null constraint idea_pk primary key,
  site text,
  status text not null,
  votes integer not null,
  submitted_at timestamptz not null,
  decided_at timestamptz,
  sealed bytea not null
);

create index idea_by_time on idea (submitted_at, id);

create table pilot (
  service text not null constraint pilot_pk primary key,
  sites text[] not null,
  changed_at timestamptz not null
);
