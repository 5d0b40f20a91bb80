-- Warning rules as data. Every version stays: a warning names the version it was judged by. Packaged rules stand in
-- schemas/reference/warning_rules.csv until a version of theirs is loaded.
create table warning_rule (
  rule text not null,
  version int not null check (version > 0),
  kind text not null,
  scope text not null,
  parameters jsonb not null,       -- name -> exact decimal as text
  class text not null check (class in ('alarm', 'alert', 'notice')),
  priority text not null check (priority in ('high', 'medium', 'low')),
  owner text not null,
  cause text not null,
  consequence text not null,
  action text not null,
  respond_s int not null check (respond_s > 0),
  state text not null check (state in ('on', 'off')),
  valid_from timestamptz not null,
  loaded_at timestamptz not null,
  primary key (rule, version)
);
create trigger append_only before update or delete on warning_rule for each row execute function refuse_change();

alter table warning add column priority text, add column definition text;  -- definition: RULE@VERSION

-- Targets of intensities and of their change rates (ZJ 6.3.1.5 b, e, f, g), and targets phased by their owner.
alter table target drop constraint target_indicator_check;
alter table target drop constraint target_value_check;
alter table target add column price_year smallint;  -- of intensities: constant prices of that year; null: current ones
alter table target add check (value > 0 or indicator like '%-change-%');
create table target_phase (
  entity text not null,
  indicator text not null,
  grain smallint not null,
  period date not null,
  part date not null,              -- first local day
  days smallint not null check (days > 0),
  value numeric not null check (value >= 0),  -- kg CO2 or kgce
  primary key (entity, indicator, grain, period, part),
  foreign key (entity, indicator, grain, period) references target
);
