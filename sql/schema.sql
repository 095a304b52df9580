-- First part of a migration, run in its transaction: one at a time, and only into a schema that is ours.
-- pgq.shipped_version holds the version that the running program brings, pgq.shipped_digests the digest of
-- each of its migrations.

select pg_catalog.pg_advisory_xact_lock(1885827428, 0);

-- What a migration waits for, everybody who comes later waits for as well. Shorter than
-- deadlock_timeout, so that it is never somebody else who has to give way.
set local lock_timeout = '500ms';
set local check_function_bodies = off;

do $$
declare
    v_schema   record;
    v_version  integer := 0;
    v_shipped  integer := current_setting('pgq.shipped_version');
    v_digests  text[] := current_setting('pgq.shipped_digests');
    v_changed  text;
    v_routines text;
begin
    select n.oid, pg_get_userbyid(n.nspowner) as owner,
        pg_has_role(n.nspowner, 'USAGE') as is_ours,
        exists (
            select
            from pg_depend d
            where d.refclassid = 'pg_namespace'::regclass
                and d.refobjid = n.oid
                and d.classid <> 'pg_default_acl'::regclass
        ) as holds_something
    into v_schema
    from pg_namespace n
    where n.nspname = 'pgq';

    if v_schema.oid is null then
        begin
            create schema pgq;
        exception
            when insufficient_privilege then
                raise exception 'role % may not create a schema in this database', current_user
                    using errcode = 'insufficient_privilege',
                          hint = format('Have its owner run: create schema pgq authorization %I', current_user);
        end;
    elsif not v_schema.is_ours then
        raise exception 'the schema pgq belongs to role %, not to %', v_schema.owner, current_user
            using errcode = 'insufficient_privilege', hint = 'Migrate as that role.';
    elsif v_schema.holds_something then
        begin
            select max(m.version) into v_version from pgq.migration m;
        exception
            when undefined_table or undefined_column or undefined_function or wrong_object_type
                or datatype_mismatch or insufficient_privilege or invalid_text_representation then
                v_version := null;
        end;
        if v_version is null then
            raise exception 'the schema pgq of this database holds objects that are not ours'
                using errcode = 'PQ006',
                      detail = 'Another program, such as Skytools'' PgQ, may have made it.',
                      hint = 'Use another database, or drop the schema if nothing needs it.';
        end if;
    end if;

    if v_version > v_shipped then
        raise exception 'the schema is version %, newer than version % of this program', v_version, v_shipped
            using errcode = 'PQ006', hint = 'Migrate with the newest release that uses this database.';
    end if;

    if v_version > 0 then
        begin
            select m.name into v_changed
            from pgq.migration m
            where m.digest <> v_digests[m.version]
            order by m.version
            limit 1;
        exception
            when undefined_column then
                v_changed := '0001_initial';
        end;
    end if;
    if v_changed is not null then
        raise exception 'the schema was made by another % than that of this program', v_changed
            using errcode = 'PQ006',
                  detail = 'It comes from between two releases, and there is no way from it to this one.',
                  hint = 'Use another database, or let `drop schema pgq cascade` delete it with all jobs and migrate again.';
    end if;

    -- What leftovers.sql compares with, to find the routines that this migration did not write.
    select string_agg(format('%s.%s', p.oid, p.xmin), ' ') into v_routines
    from pg_proc p
    where p.pronamespace = 'pgq'::regnamespace;

    perform set_config('pgq.version_before', v_version::text, true);
    perform set_config('pgq.routines_before', coalesce(v_routines, ''), true);
end
$$;
