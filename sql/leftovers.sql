-- Drops the routines of older releases: those that stood before this migration and that it did not write.

do $$
declare
    v_routine regprocedure;
begin
    for v_routine in
        select p.oid
        from pg_proc p
        where p.pronamespace = 'pgq'::regnamespace
            and format('%s.%s', p.oid, p.xmin)
                = any(string_to_array(current_setting('pgq.routines_before'), ' '))
    loop
        execute format('drop routine %s', v_routine);
    end loop;
end
$$;
