create index planted on ops.members (project_id);
