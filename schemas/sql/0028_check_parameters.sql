-- What the checks are set to, by carrier, kind and interval of a meter (null: any). Every version stays: a finding names
-- the one it was made by. Name packaged is what releases bring, written by `carbonstream migrate`.
create table check_parameters (
  name text not null,
  version int not null check (version > 0),
  carrier text references carrier (id),
  kind text check (kind in ('register', 'interval')),
  interval_s int check (interval_s > 0),
  parameters jsonb not null,       -- every one: name -> exact decimal or decision, as text
  state text not null check (state in ('on', 'off')),
  owner text not null,
  note text not null,
  loaded_at timestamptz not null,
  primary key (name, version)
);
create trigger append_only before update or delete on check_parameters for each row execute function refuse_change();

alter table finding add column definition text;  -- NAME@VERSION of its parameters or user's rule; null: told before
