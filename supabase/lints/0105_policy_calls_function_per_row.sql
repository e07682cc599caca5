-- ERROR: a policy asks our functions in a sub-select, once per statement, and never row by row.
select y.object, y.name as detail
  from policies as y
 where regexp_replace(y.qual || y.with_check, '\(\s*SELECT\s+ops\.my_\w+\(\)', '', 'g') ~ '\m(ops|guard|api)\.\w+\(';
