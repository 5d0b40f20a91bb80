-- Notices: who is told of warnings, what is to be told, and what became of each attempt.

-- A subscription of an enterprise matches its own entities only; one of an operator group all.
create table notice_subscription (
  id text primary key,
  enterprise text references entity (id),
  operator_group text,
  entities text[] not null default '{}',    -- ids, or beginnings ending in *; empty: all it may see
  rules text[] not null default '{}',       -- empty: all
  severity text not null check (severity in ('alarm', 'alert', 'notice')),  -- the least that is told
  quiet_from time,                          -- local; in between only alarms are told, the rest at its end
  quiet_until time,
  language text not null check (language in ('zh', 'en')),
  group_s int not null check (group_s between 0 and 86400),  -- changes within this long come as one notice
  disabled text,                            -- null, or why it is off
  changed_at timestamptz not null,
  check ((enterprise is null) <> (operator_group is null)),
  check ((quiet_from is null) = (quiet_until is null))
);

-- Addresses and secrets stand in a schema of their own, which carbonstream_read has no right to use: a grant on all
-- tables of public does not reach them.
create schema notice_private;
create table notice_private.channel (
  id int generated always as identity primary key,
  subscription text not null references notice_subscription,
  kind text not null check (kind in ('webhook', 'mail', 'service')),
  address text not null,
  secret text,                              -- webhook: whsec_ and base64
  previous_secret text,                     -- signs too until previous_until, while the receiver changes over
  previous_until timestamptz,
  disabled text,                            -- null, or why nothing more is sent to it
  failures int not null default 0,          -- in a row
  pause_until timestamptz not null default '-infinity',   -- open circuit, or what Retry-After asked for
  leased_until timestamptz not null default '-infinity',  -- a worker has it: one at a time sends to a channel
  holder int,                               -- backend that leased it: when its session is gone, so is the lease
  lease bigint not null default 0,          -- counts leases, so that a worker that lost its own knows
  unique (subscription, address)
);

create table notice (
  id text primary key,                      -- derived from its first change and the subscription
  subscription text not null references notice_subscription,
  opened_at timestamptz not null,
  closes_at timestamptz not null,           -- changes join until then, and it is sent from then on
  closed boolean not null default false     -- a worker has begun to send it: its content stands
);
create index notice_open on notice (subscription, closes_at) where not closed;

create table notice_change (
  subscription text not null references notice_subscription,
  warning text not null,
  version int not null,
  notice text not null references notice on delete cascade,
  record jsonb not null,                    -- as carbon.warnings told it
  primary key (subscription, warning, version)
);
create index notice_change_notice on notice_change (notice);

create table notice_delivery (
  notice text not null references notice on delete cascade,
  channel int not null references notice_private.channel,
  state text not null check (state in ('waiting', 'sent', 'dead')),
  attempts int not null default 0,          -- begun, counted before sending
  since timestamptz not null,               -- tried for 24 h from here
  next_at timestamptz not null,
  reason text,                              -- of the last attempt, where it failed
  settled_at timestamptz,                   -- sent or dead since
  primary key (notice, channel)
);
create index notice_delivery_waiting on notice_delivery (channel, next_at) where state = 'waiting';
create index notice_delivery_dead on notice_delivery (settled_at) where state = 'dead';

create table notice_receipt (
  notice text not null,
  channel int not null,
  at timestamptz not null,
  took_ms int not null,
  outcome text not null,
  code int,                                 -- HTTP or SMTP
  detail text not null,
  foreign key (notice, channel) references notice_delivery on delete cascade
);
create index notice_receipt_notice on notice_receipt (notice, channel, at);

-- Where notify stands in carbon.warnings; moves in the transaction that enqueues.
create table notice_position (
  partition smallint primary key,
  topic_id text not null,                   -- a topic created anew is read from its beginning
  next_offset bigint not null
);
grant select on notice_subscription, notice, notice_change, notice_delivery, notice_receipt, notice_position
  to carbonstream_read;
