-- What the checks found beside a reading's outcome. Row counts within its frame, as in reject and held.
create table finding (
  partition smallint not null,
  source_offset bigint not null,
  row int not null,
  "check" smallint not null,       -- schemas.codes.Check
  decision smallint not null,      -- schemas.codes.Decision
  meter int not null,
  time timestamptz not null,       -- end of the reading that is meant
  size real not null,              -- ratio of a level, hours of a clock, values of a run; else 0
  tick_ms bigint not null          -- the logic's clock when it was told
);
create index finding_meter on finding (meter, time);
create index finding_origin on finding (partition, source_offset);
