-- WARN: with pg_graphql installed, whatever authenticated may select is in a schema that authenticated can read.
select r.object, 'in the GraphQL schema of authenticated' as detail
  from relations as r where r.exposed and r.people_read and exists (select 1 from pg_catalog.pg_extension as e where e.extname = 'pg_graphql');
