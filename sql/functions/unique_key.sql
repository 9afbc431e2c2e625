-- {"id": 1}, so that people can read it; where that is long, its SHA-256.
create function esteira.unique_key(payload jsonb, fields text[]) returns text
language sql immutable strict parallel safe
as $$
select case when length(text) <= 200 then text else encode(sha256(convert_to(text, 'UTF8')), 'hex') end
from (select jsonb_object_agg(field, payload -> field)::text from unnest(fields) as given (field)) as key (text)
$$;
comment on function esteira.unique_key(jsonb, text[]) is 'Internal: the unique key that these fields of a payload make up.';
