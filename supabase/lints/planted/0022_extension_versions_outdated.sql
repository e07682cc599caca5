update pg_catalog.pg_extension set extversion = '0.1' where extname = 'plpgsql';
