-- People say "high", indexes want a number: these two are the only places where the one becomes the other.
create function esteira.priority_number(name text) returns smallint
language plpgsql immutable strict parallel safe
as $$
declare
    number smallint := array_position(array['low', 'normal', 'high', 'critical'], name) - 1;
begin
    if number is null then
        raise exception 'priority must be low, normal, high or critical, not "%"', name using errcode = 'ES004';
    end if;
    return number;
end
$$;
comment on function esteira.priority_number(text) is 'low 0, normal 1, high 2, critical 3; anything else raises ES004.';

create function esteira.priority_name(number smallint) returns text
language sql immutable strict parallel safe
as $$
select (array['low', 'normal', 'high', 'critical'])[number + 1]
$$;
comment on function esteira.priority_name(smallint) is 'The name of a priority: 0 low, 1 normal, 2 high, 3 critical.';
