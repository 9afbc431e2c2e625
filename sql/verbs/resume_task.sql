create function esteira.resume_task(task text) returns boolean
language plpgsql
security definer
set search_path = pg_catalog, esteira, pg_temp
as $$
#variable_conflict use_column
declare
    since timestamptz;
begin
    select task.paused_at into since from esteira.task as task where task.name = resume_task.task for update;
    if not found then
        raise exception 'no worker has declared the task "%"', resume_task.task using errcode = 'ES009';
    end if;
    update esteira.task as task set paused_at = null where task.name = resume_task.task and since is not null;
    perform pg_notify('esteira', '*') where since is not null;
    return since is not null;
end
$$;
comment on function esteira.resume_task(text) is
'Ends the pause of a task and tells the workers; false if it was not paused. Raises ES009 (no such task).';
