-- WARN: what is made later must not be anybody's by default.
select d.defaclnamespace::regnamespace::text as object, d.defaclacl::text as detail
  from pg_catalog.pg_default_acl as d
  join looked_at as s on s.oid = d.defaclnamespace
 cross join lateral aclexplode(d.defaclacl) as a
 where a.grantee in (0, 'anon'::regrole::oid, 'authenticated'::regrole::oid);
