-- INFO: a table that nobody may read should say so by a policy.
select r.object, 'row-level security without a policy' as detail
  from relations as r where r.has_rls and not exists (select 1 from policies as y where y.relation = r.oid);
