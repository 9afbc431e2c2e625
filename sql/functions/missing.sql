create function esteira.missing(id uuid) returns void
language plpgsql
as $$
begin
    raise exception 'no job %', missing.id using errcode = 'ES001';
end
$$;
comment on function esteira.missing(uuid) is 'Internal: raises ES001, since no job has this id.';
