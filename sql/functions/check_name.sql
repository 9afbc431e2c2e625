create function esteira.check_name(name text) returns void
language plpgsql immutable strict parallel safe
as $$
begin
    if name collate "C" !~ '^[[:alnum:]_][[:alnum:]_.:/-]{0,99}$' then
        raise exception '"%" is no name: use 1 to 100 letters of ASCII, digits, and _ . : / -', name using errcode = 'ES004';
    end if;
end
$$;
comment on function esteira.check_name is 'Internal: raises ES004 for what cannot be the name of a task or queue.';
