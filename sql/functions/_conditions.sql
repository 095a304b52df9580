create or replace view pgq._paused_queue as
select q.queue, q.paused_at
from pgq.queue q
where q.paused_at is not null;
comment on view pgq._paused_queue is 'Queues that claim skips. A view, so that it costs claim no function call.';

create or replace view pgq._live_worker as
select w.*
from pgq.worker w
where w.state <> 'offline'
    and w.expires_at > (select c.clock from pgq.lease_clock c order by c.id desc limit 1);
comment on view pgq._live_worker is 'Workers whose claims are not refused.';
