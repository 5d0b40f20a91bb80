-- One cause, one thing to answer: children carry their parent's id; the parent is a warning of rule restatement or
-- common-cause.
alter table warning_operator
  add column parent text,
  add column source text;          -- of the warning's snapshot: gateway, broker, clock
create index warning_operator_parent on warning_operator (parent) where parent is not null;
create index warning_operator_source on warning_operator (rule, source) where source is not null and active;
