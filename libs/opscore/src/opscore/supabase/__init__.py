"""The one door to Supabase clients: supabase and realtime live here and nowhere else."""
