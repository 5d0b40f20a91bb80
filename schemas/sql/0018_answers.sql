-- What enterprises answer to their warnings: processors/enterprise_answers.py, as JSON. Null: nothing was asked or said.
alter table warning_operator add column answer jsonb;
