create or replace view pgq._valid_token as
select t.*
from pgq.token t
where t.revoked_at is null
    and (t.expires_at is null or t.expires_at > now());
comment on view pgq._valid_token is 'Tokens that are neither revoked nor expired.';
