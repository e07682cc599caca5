-- WARN: an extension's functions do not belong among exposed objects.
select e.extname::text as object, 'lies in schema public' as detail
  from pg_catalog.pg_extension as e where e.extnamespace = to_regnamespace('public');
