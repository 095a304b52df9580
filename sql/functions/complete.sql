create or replace function pgq.complete(
    p_id      bigint,
    p_token   uuid,
    p_result  json default null
)
returns void
language plpgsql
security definer
set search_path = ''
as $$
declare
    v_outcome text := (
        select c.outcome from pgq.complete_many(array[p_id], array[p_token], array[p_result]) c
    );
begin
    if v_outcome = 'lost' then
        perform pgq._refuse_lease(p_id, 'complete');
    elsif v_outcome = 'result too large' then
        perform pgq._refuse(
            'PQ005',
            format('the result of job %s is too large', p_id),
            format('result has %s bytes; expected at most %s.',
                   octet_length(p_result::text), (select s.result_limit from pgq.setting s)),
            'Store it elsewhere and return its address; the job is still leased.'
        );
    end if;
end
$$;
comment on function pgq.complete is
    'Finishes a running job. Inside the caller''s transaction: what else it writes and the completion commit together or not at all. PQ001 when the lease is no longer this token''s; succeeds again when repeated with the token that completed it.';
select pgq._allow('complete', 'pgq_worker');
