-- Alert rules that watch scores, and the pipelines there are.
select
    (
        select coalesce(jsonb_agg(to_jsonb(a)), '[]')
        from ops.alert_rules as a
        where a.environment_id = $1 and a.enabled and 'RUN_SCORED' = any(a.event_types) and a.condition ? 'min_score'
    ) as rules,
    (
        select coalesce(jsonb_agg(p.name), '[]')
        from api.pipelines as p
        where p.environment_id = $1
    ) as pipelines
