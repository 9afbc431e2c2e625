-- Full jitter (random over the whole interval) spreads a crowd of failures best:
-- https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
create function esteira.backoff(failures integer, first_seconds double precision, max_seconds double precision)
returns interval
language sql volatile parallel safe
as $$
select make_interval(secs => random() * least(max_seconds, first_seconds * 2 ^ least(failures - 1, 40), 365 * 86400))
$$;
comment on function esteira.backoff(integer, double precision, double precision) is
'How long to wait after the n-th failure: random between 0 and first × 2^(n-1), at most max or a year.';
