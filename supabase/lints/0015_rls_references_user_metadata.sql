-- ERROR: people write their own user metadata: no right may hang on it.
select y.object, y.name as detail from policies as y where y.qual || y.with_check ~* '(raw_)?user_meta_?data';
