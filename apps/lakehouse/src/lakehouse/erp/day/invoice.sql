-- A new posted invoice like move $1, dated $2, written at $3. Its number follows the journal's last one of that year.
with source as (
    select
        move.*,
        regexp_replace(move.sequence_prefix, '\d{4}/$', to_char($2::date, 'YYYY/')) as prefix
    from account_move as move
    where move.id = $1
),

numbered as (
    select
        source.id,
        source.prefix,
        coalesce(max(other.sequence_number), 0) + 1 as number
    from source
    left join account_move as other on other.journal_id = source.journal_id and other.sequence_prefix = source.prefix
    group by source.id, source.prefix
),

move as (
    insert into account_move
    select made.*
    from account_move as source
    inner join numbered on source.id = numbered.id
    cross join lateral jsonb_populate_record(null::account_move, to_jsonb(source) || jsonb_build_object(
        'id', nextval('account_move_id_seq'),
        'name', numbered.prefix || lpad(numbered.number::text, 5, '0'),
        'payment_reference', numbered.prefix || lpad(numbered.number::text, 5, '0'),
        'sequence_prefix', numbered.prefix, 'sequence_number', numbered.number,
        'date', $2::date, 'invoice_date', $2::date, 'delivery_date', $2::date, 'invoice_date_due', $2::date + 30,
        'payment_state', 'not_paid', 'invoice_origin', null,
        'amount_residual', source.amount_total, 'amount_residual_signed', source.amount_total_signed,
        'create_date', $3::timestamp, 'write_date', $3::timestamp
    )) as made
    returning *
),

paired as (
    select
        line.id as source_id,
        nextval('account_move_line_id_seq') as id
    from account_move_line as line
    where line.move_id = $1
    order by line.id
),

lines as (
    insert into account_move_line
    select made.*
    from account_move_line as source
    inner join paired on source.id = paired.source_id
    cross join move
    cross join lateral jsonb_populate_record(null::account_move_line, to_jsonb(source) || jsonb_build_object(
        'id', paired.id, 'move_id', move.id, 'move_name', move.name,
        'name', case when source.display_type = 'payment_term' then move.name else source.name end,
        'date', $2::date, 'invoice_date', $2::date,
        'date_maturity', case when source.display_type = 'payment_term' then $2::date + 30 end,
        'amount_residual', case when source.display_type = 'payment_term' then source.balance else 0 end,
        'amount_residual_currency', case when source.display_type = 'payment_term' then source.amount_currency else 0 end,
        'reconciled', false, 'full_reconcile_id', null, 'matching_number', null, 'analytic_distribution', null,
        'create_date', $3::timestamp, 'write_date', $3::timestamp
    )) as made
    returning id
),

taxes as (
    insert into account_move_line_account_tax_rel (account_move_line_id, account_tax_id)
    select
        paired.id,
        rel.account_tax_id
    from paired
    inner join account_move_line_account_tax_rel as rel on paired.source_id = rel.account_move_line_id
    returning account_move_line_id
)

select
    move.id,
    (select count(*) from lines) as lines,
    (select count(*) from taxes) as taxes
from move;
