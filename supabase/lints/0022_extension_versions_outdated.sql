-- WARN: an installed extension is older than the server's default.
select e.name::text as object, format('%s, not %s', e.installed_version, e.default_version) as detail
  from pg_catalog.pg_available_extensions as e where e.installed_version <> e.default_version;
