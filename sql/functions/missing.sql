-- A UUID of version 7 carries its time: one older than what is kept was removed, whoever asks for it again.
create function esteira.missing(id uuid) returns void
language plpgsql
-- "1 sec", "7 days", and not "00:00:01".
set intervalstyle = postgres_verbose
as $$
#variable_conflict use_column
declare
    kept interval := (
        select least(retention.finished, (select min(queue.keep_finished) from esteira.queue as queue))
        from esteira.retention as retention);
begin
    if esteira.uuid7_time(missing.id) < esteira.now() - kept then
        raise exception 'job % is gone: jobs are kept for % after their end', missing.id, ltrim(kept::text, '@ ') using errcode = 'ES005';
    end if;
    raise exception 'no job %', missing.id using errcode = 'ES001';
end
$$;
comment on function esteira.missing(uuid) is 'Internal: raises ES005 where retention may have removed the job, else ES001: no job has this id.';
