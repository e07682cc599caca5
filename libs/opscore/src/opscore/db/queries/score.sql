-- A run's score with its inputs, its signals, and the weights of the version that made it; numbers as exact text.
select
    jsonb_build_object(
        'run_id', x.run_id, 'pipeline', x.pipeline, 'score', x.score::text, 'weights_version', x.weights_version,
        'created_at', x.created_at,
        'inputs', (
            select jsonb_object_agg(i.key, jsonb_build_object('value', i.value ->> 'value', 'weight', i.value ->> 'weight'))
            from jsonb_each(x.inputs) as i (key, value)
        ),
        'signals', (
            select coalesce(jsonb_object_agg(s.name, jsonb_build_object('value', s.value::text, 'evidence', s.evidence)), '{}')
            from api.signals as s
            where s.run_id = x.run_id
        ),
        'weights', (
            select coalesce(jsonb_object_agg(w.key, w.value), '{}')
            from api.weights as v
            cross join jsonb_each_text(v.weights) as w (key, value)
            where v.environment_id = x.environment_id and v.version = x.weights_version
        )
    ) as item
from api.scores as x
where x.run_id = $1
