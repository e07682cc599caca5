-- WARN: a policy that asks who calls must ask once per statement, in a sub-select, not once per row.
select y.object, y.name as detail
  from policies as y
 where regexp_replace(y.qual || y.with_check, '\(\s*SELECT\s+(auth\.\w+\(\)|current_setting\()', '', 'gi') ~* '(auth\.(uid|jwt|role|email)\(\)|current_setting\()';
