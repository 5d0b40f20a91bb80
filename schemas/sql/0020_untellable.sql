-- Rows of the outbox that no Kafka record can hold: set aside by the relay, so that nothing waits behind them.
create table outbox_set_aside (
  id bigint primary key,           -- as it was in the outbox
  topic text not null,
  shard_key text not null,
  key text not null,
  value jsonb not null,
  bytes int not null,              -- as a record
  at timestamptz not null default now()
);
