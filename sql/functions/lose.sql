-- Jobs whose process died. That is not charged as a failure, since the job may be a bystander; but a job that takes
-- its process down three times is dead, so that a poison pill cannot go round for ever.
create function esteira.lose(ids uuid[], outcome text, message text, moment timestamptz) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
    failure jsonb := jsonb_build_object('type', initcap(outcome), 'message', message);
    hopeless uuid[];
begin
    perform esteira.record_attempt(ids, outcome, failure, null, moment);
    -- Where esteira.tally ends, it stays: a failure here would be that of every tick.
    update esteira.job_live as job
    set crashes = least(job.crashes + 1, 999999999),
        error = failure || jsonb_build_object('attempt', job.attempt, 'at', moment)
    where job.id = any (lose.ids);
    -- A cancel that was asked for beats the dead letter: requeue sees to it.
    hopeless := array(
        select job.id from esteira.job_live as job
        where job.id = any (lose.ids) and job.crashes >= 3
          and not exists (select from esteira.activity where job_id = job.id and cancel_requested_at is not null));
    if cardinality(hopeless) > 0 then
        perform esteira.finish(hopeless, 'dead', 'crashed', moment);
    end if;
    perform esteira.requeue(lose.ids, null, moment);
end
$$;
comment on function esteira.lose(uuid[], text, text, timestamptz) is
'Internal: takes back locked jobs whose engine (crashed) or worker (lost) died; at the third such end the job is dead.';
