-- Lists are in the order of ids, and an id carries the time at which it was made, which is that of created_at but for the time
-- that a bulk insert takes: a minute is plenty. With these bounds a window of created_at is a range of the primary key; without
-- them a page of last week walks over all that was created since (1 s of 2,500,000 jobs). Under a fake clock ids go on carrying
-- the real time, so there the bounds bind nothing.
create function esteira.id_from(moment timestamptz) returns uuid
language sql stable strict parallel safe
as $$
select case
    when coalesce(current_setting('esteira.fake_now', true), '') = '' then esteira.uuid7_at(moment - interval '1 min')
    else '00000000-0000-0000-0000-000000000000'
end
$$;
comment on function esteira.id_from(timestamptz) is 'No job created at this moment or later has a smaller id.';

create function esteira.id_until(moment timestamptz) returns uuid
language sql stable strict parallel safe
as $$
select case
    when coalesce(current_setting('esteira.fake_now', true), '') = '' then esteira.uuid7_at(moment + interval '1 min')
    else 'ffffffff-ffff-ffff-ffff-ffffffffffff'
end
$$;
comment on function esteira.id_until(timestamptz) is 'Every job created before this moment has a smaller id.';
