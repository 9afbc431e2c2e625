create function esteira.pause_task(task text) returns timestamptz
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
as $$
#variable_conflict use_column
declare
    since timestamptz;
begin
    update esteira.task as task
    set paused_at = coalesce(task.paused_at, esteira.now())
    where task.name = pause_task.task
    returning task.paused_at into since;
    if not found then
        raise exception 'no worker has declared the task "%"', pause_task.task using errcode = 'ES009';
    end if;
    return since;
end
$$;
comment on function esteira.pause_task(text) is
'Claims that begin after its commit take no job of this task, in whatever queue; what runs goes on. Returns since when; raises ES009 (no such task).';
