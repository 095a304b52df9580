-- Who may log in to the database of docker-compose.yml, run after each migration by the superuser,
-- who comes by the socket. Passwords of .env may so change at any time.

\getenv server_password SERVER_PASSWORD
\getenv worker_password WORKER_PASSWORD
\getenv grafana_password GRAFANA_PASSWORD

begin;
set local log_statement = 'none';
set local log_min_error_statement = panic;
set local client_min_messages = warning;

select format('create role %I', wanted.name)
from unnest(array['server', 'worker', 'grafana']) wanted (name)
where not exists (select from pg_roles r where r.rolname = wanted.name)
\gexec

alter role server login password :'server_password';
alter role worker login password :'worker_password';
alter role grafana login password :'grafana_password';
alter role postgres password null;

grant pgq_admin to server;
-- Tasks make jobs too.
grant pgq_worker, pgq_enqueuer to worker;
-- Sees no payload.
grant pgq_viewer to grafana;

-- Prometheus reads the file anew at each scrape, so the token of the last time can end.
select pgq.revoke_token(t.id) as revoked
from pgq.list_tokens() t
where t.name = 'prometheus'
    and t.revoked_at is null
\g /dev/null

select 'pgq_' || translate(
    rtrim(encode(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()), 'base64'), '='),
    '+/',
    '-_'
) as token
\gset

select pgq.create_token('prometheus', sha256(:'token'::bytea), '{view}')
\g /dev/null
commit;

\pset format unaligned
\pset tuples_only on
select :'token' \g /tokens/prometheus

select 'insecure-default' in (:'server_password', :'worker_password', :'grafana_password') as is_default
\gset
\if :is_default
    \warn 'INSECURE: passwords are those of docker-compose.yml, which everybody knows. Only this'
    \warn 'machine reaches the ports; `make .env`, then `make up`, gives you passwords of your own.'
\endif
