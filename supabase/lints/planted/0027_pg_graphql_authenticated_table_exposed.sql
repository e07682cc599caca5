insert into pg_catalog.pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
select 99999, 'pg_graphql', e.extowner, e.extnamespace, false, '1' from pg_catalog.pg_extension as e where e.extname = 'plpgsql';
