-- How warnings stand with the operators (ANSI/ISA-18.2): a layer over what the rules say, written by warn alone.

-- Commands come through Kafka (warn.commands), so one can be given while the database is away.
drop table command;

-- Warnings whose condition changed since the operators' layer last looked; deleted in the transaction that takes it in.
create table warning_mark (id text not null);
create function mark_warning() returns trigger language plpgsql as $$
begin
  insert into warning_mark select distinct id from told;
  return null;
end $$;
create trigger mark_warning after insert on warning_history
  referencing new table as told for each statement execute function mark_warning();
insert into warning_mark select id from warning;

create table warning_operator (
  id text primary key,             -- of the warning
  entity text not null,
  rule text not null,
  change int not null,             -- how many rows warning_operation has of it
  version int not null,            -- of the warning: the last change of its condition that was taken in
  state text not null check (state in ('normal', 'active-unacked', 'active-acked', 'cleared-unacked', 'shelved',
    'suppressed', 'out-of-service')),
  rank smallint not null,          -- order of the list: to be answered, in hand, inhibited, normal
  priority smallint not null,      -- 1 alarm, 2 alert, 3 notice
  since timestamptz not null,      -- in this state
  active boolean not null,
  acked boolean not null,
  quiet text check (quiet in ('past', 'restatement')),
  raised_version int not null,
  raised_at timestamptz not null,
  claimed_by text,
  shelf jsonb,                     -- by, why, until, remind_at (UTC ms), reminded
  out_of_service jsonb,            -- by, why
  suppressed_by text,              -- maintenance:ID, rule:ID, past, restatement
  due_at timestamptz               -- when the clock alone changes it next
);
create index warning_operator_list on warning_operator (rank, priority, since desc, id);
create index warning_operator_state on warning_operator (state, priority, since desc, id);
create index warning_operator_due on warning_operator (due_at) where due_at is not null;
create index warning_operator_entity on warning_operator (entity);

-- Every change of it, append-only.
create table warning_operation (
  warning text not null,
  change int not null,
  operation text not null,         -- raised, cleared, shelf-expired, reminded, suppressed, or a command's kind
  version int not null,
  from_state text not null,
  to_state text not null,
  annunciates boolean not null,
  priority smallint not null,
  at timestamptz not null,         -- warn's clock
  by text,                         -- null: warn itself
  why text not null,
  command text,
  until timestamptz,
  primary key (warning, change)
);
create trigger append_only before update or delete on warning_operation
  for each row execute function refuse_change();
create index warning_operation_at on warning_operation (at);
create index warning_operation_annunciates on warning_operation (at) where annunciates;
create index warning_operation_command on warning_operation (command) where command is not null;

-- Every command that came, applied or not. What is no command at all is kept with its text.
create table warning_command (
  id text primary key,
  kind text,
  by text,
  why text not null default '',
  given_at timestamptz,            -- by whom it was given
  taken_at timestamptz not null,   -- warn's clock
  offset_ bigint not null,         -- of warn.commands: their order
  outcome text not null check (outcome in ('applied', 'partly', 'refused', 'unreadable')),
  targets jsonb not null,          -- [{"target", "outcome": applied | unchanged | refused, "reason"}]
  body jsonb                       -- as it came; of what is unreadable {"text", "error"}
);
create trigger append_only before update or delete on warning_command
  for each row execute function refuse_change();
create index warning_command_order on warning_command (offset_ desc);

-- Maintenance calendar and suppression by rule.
create table warning_suppression (
  id text primary key,             -- of the command that made it
  entities text[] not null,
  rules text[] not null,
  start timestamptz,               -- null: without a date
  "end" timestamptz,
  recurrence text,
  by text not null,
  why text not null,
  made_at timestamptz not null,
  in_force boolean not null,       -- as last looked at
  changes_at timestamptz,          -- when to look again
  ended_at timestamptz,
  ended_by text,
  ended_why text
);
create index warning_suppression_due on warning_suppression (changes_at) where ended_at is null;
grant select on warning_operator, warning_operation, warning_command, warning_suppression to carbonstream_read;
