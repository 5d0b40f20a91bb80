-- What one person wrote down another decides: publications, multiplier corrections, declarations all ask here.

-- A name as names are compared: in Unicode's compatibility form (a full-width letter is that letter, a no-break space a
-- space), without invisible characters, white space as single spaces and none at the ends, case folded (upper first, so
-- that sharp s is ss).
create function person_key(p_name text) returns text language sql immutable parallel safe as $$
  select btrim(regexp_replace(
    regexp_replace(
      normalize(lower(upper(normalize(p_name, nfkc) collate "und-x-icu") collate "und-x-icu"), nfkc),
      '[\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]', '', 'g'),
    '[[:space:]\u0085\u1680\u2028\u2029]+', ' ', 'g'))
$$;

-- CS422: nobody is named; CS403: who decides p_of is who wrote it down.
create function second_person(p_by text, p_first text, p_of text) returns void language plpgsql immutable as $$
begin
  if person_key(p_by) = '' then
    raise exception 'name who decides %', p_of using errcode = 'CS422';
  end if;
  if person_key(p_by) = person_key(p_first) then
    raise exception '% is %''s own: a second person has to decide it', p_of, p_first using errcode = 'CS403';
  end if;
end $$;
