-- ERROR: policies do nothing while row-level security is off.
select distinct y.object, 'has policies, but row-level security is off' as detail from policies as y where not y.has_rls;
