-- Warnings: present state, append-only history, commands, and where warn stands in its topics.
create table warning (
  id text primary key,             -- rule : entity : indicator : period : level
  version int not null,
  rule text not null,
  entity text not null,
  indicator text not null,
  period date not null,
  level numeric,
  severity text not null check (severity in ('alarm', 'alert', 'notice')),
  state text not null check (state in ('active', 'cleared')),
  bucket timestamptz not null,     -- event time: the hour or day in which the condition came true
  backfill boolean not null default false,  -- about a past period: summarised, not announced
  snapshot jsonb not null,         -- total, coefficients, target, rule version: enough to recompute it
  raised_at timestamptz not null,  -- the tick at which it was raised
  changed_at timestamptz not null
);
create index warning_entity on warning (entity, state);
create index warning_changed on warning (changed_at desc);

-- An entry reads: from this bucket on the state is this, whatever earlier entries say of later buckets.
create table warning_history (
  id text not null,
  version int not null,
  state text not null,
  bucket timestamptz not null,
  backfill boolean not null default false,
  changed_at timestamptz not null,
  snapshot jsonb not null,
  primary key (id, version)
);

-- Where warn stands; moves in the transaction that changes the warnings.
create table warn_position (
  topic text not null,
  partition smallint not null,
  next_offset bigint not null,
  tick_ms bigint not null default 0,  -- carbon.signals: the newest tick of the source partition of that number
  primary key (topic, partition)
);

create table command (
  id uuid primary key default gen_random_uuid(),
  at timestamptz not null default now(),
  actor text not null,
  kind text not null,
  body jsonb not null,
  relayed_at timestamptz
);
grant insert (id, actor, kind, body) on command to carbonstream_command;
grant select on all tables in schema public to carbonstream_read;
