update pg_catalog.pg_extension set extnamespace = 'public'::regnamespace where extname = 'plpgsql';
