-- Where the service instant stands, and what its rules remember; both move in one transaction.
create table instant_position (
  partition smallint primary key,
  emissions_topic text not null,   -- topic id of carbon.emissions
  next_offset bigint not null,
  origin bigint not null,          -- the newest answered offset of meter.readings
  tick_ms bigint not null
);
create table instant_state (rule text primary key, state jsonb not null);
-- When each meter was heard last and through which source: int64[2, meters] of 4,096 dense numbers.
create table instant_heard (block int primary key, packed bytea not null);
