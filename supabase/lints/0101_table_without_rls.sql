-- ERROR: every table of ours has row-level security, partitioned ones and their partitions too, exposed or not.
select r.object, 'row-level security is off' as detail from relations as r where r.kind in ('r', 'p') and not r.has_rls;
