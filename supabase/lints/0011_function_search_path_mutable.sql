-- WARN: a function that does not pin its search path runs whatever its caller puts first.
select f.object, 'search path is the caller''s' as detail
  from functions as f where not exists (select 1 from unnest(f.settings) as s (setting) where s.setting like 'search_path=%');
