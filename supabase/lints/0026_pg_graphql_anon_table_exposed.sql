-- WARN: with pg_graphql installed, whatever anon may select is in a schema that anon can read.
select r.object, 'in the GraphQL schema of anon' as detail
  from relations as r where r.exposed and r.anon_reads and exists (select 1 from pg_catalog.pg_extension as e where e.extname = 'pg_graphql');
