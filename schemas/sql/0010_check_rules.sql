-- Checks that a user has added (ZJ 6.4.1.3a). Every version stays, so that a finding can be explained.
create table check_rule (
  rule text primary key,
  number int generated always as identity unique,
  version int not null default 1,
  carrier text references carrier (id),
  kind text check (kind in ('register', 'interval')),
  meter text,
  test text not null check (test in ('not_null', 'range', 'comparison', 'length')),
  field text not null,
  low numeric,
  high numeric,
  decision text check (decision in ('question', 'reject')),  -- null: switched off
  owner text not null,
  note text not null,
  loaded_at timestamptz not null
);
create table check_rule_history (like check_rule);
alter table check_rule_history add primary key (rule, version);
