-- Ids that sort by time, so that new rows land at the right edge of every index. PostgreSQL 18 brings them; before
-- that: 48 bits of milliseconds, the fraction of the millisecond in the next 12, the rest random (RFC 9562, method 3).
-- In order within a session; nothing may depend on the order across sessions.
do $do$
begin
    if current_setting('server_version_num')::int >= 180000 then
        create function esteira.uuid7() returns uuid
        language sql volatile parallel safe
        return uuidv7();
    else
        create function esteira.uuid7() returns uuid
        language sql volatile parallel safe
        as $$
        select encode(
            overlay(
                uuid_send(gen_random_uuid())
                placing substring(int8send(micros / 1000) from 3 for 6) || int2send((28672 + micros % 1000 * 4096 / 1000)::int2)
                from 1 for 8),
            'hex')::uuid
        from (select (extract(epoch from clock_timestamp()) * 1000000)::bigint) as clock(micros)
        $$;
    end if;
end
$do$;
comment on function esteira.uuid7() is 'A new UUID of version 7: time in front, so that ids sort by age.';

-- For looking along an index of ids: those made before the moment are smaller, those made from it on are not. What lies outside
-- of the times that an id can carry, 1970 to 10889, is at that end.
create function esteira.uuid7_at(moment timestamptz) returns uuid
language sql immutable strict parallel safe
as $$
select (lpad(to_hex(millis::bigint), 12, '0') || '70008000000000000000')::uuid
from least(greatest(floor(extract(epoch from moment) * 1000), 0), 281474976710655) as clock(millis)
$$;
comment on function esteira.uuid7_at(timestamptz) is 'The smallest UUID of version 7 that could be made at this moment.';

create function esteira.uuid7_time(id uuid) returns timestamptz
language sql immutable strict parallel safe
as $$
select case
    when get_byte(uuid_send(id), 6) / 16 = 7
    then to_timestamp(('x' || encode(substring(uuid_send(id) from 1 for 6), 'hex'))::bit(48)::bigint / 1000.0)
end
$$;
comment on function esteira.uuid7_time(uuid) is 'When a UUID of version 7 was made, to the millisecond; null for other versions.';
