-- Pays invoice $1 in full with a payment like account_payment $2, dated $3, written at $4.
with invoice as (
    select
        move.*,
        line.id as line_id
    from account_move as move
    inner join account_move_line as line on line.move_id = move.id and line.display_type = 'payment_term'
    where move.id = $1
),

model as (
    select
        move.id,
        regexp_replace(move.sequence_prefix, '\d{4}/$', to_char($3::date, 'YYYY/')) as prefix
    from account_payment as pay
    inner join account_move as move on pay.move_id = move.id
    where pay.id = $2
),

numbered as (
    select
        model.id,
        model.prefix,
        coalesce(max(other.sequence_number), 0) + 1 as number
    from model
    inner join account_move as source on model.id = source.id
    left join account_move as other on other.journal_id = source.journal_id and other.sequence_prefix = model.prefix
    group by model.id, model.prefix
),

ids as (
    select
        nextval('account_move_id_seq') as move,
        nextval('account_payment_id_seq') as payment,
        nextval('account_move_line_id_seq') as outstanding,
        nextval('account_move_line_id_seq') as counterpart,
        nextval('account_partial_reconcile_id_seq') as partial,
        nextval('account_full_reconcile_id_seq') as full_
),

shared as (
    select
        ids.*,
        invoice.amount_residual as amount,
        invoice.line_id,
        jsonb_build_object(
            'partner_id', invoice.partner_id, 'ref', invoice.name, 'date', $3::date, 'create_date', $4::timestamp,
            'write_date', $4::timestamp
        ) as columns
    from ids
    cross join invoice
),

move as (
    insert into account_move
    select made.*
    from account_move as source
    inner join numbered on source.id = numbered.id
    cross join shared
    cross join lateral jsonb_populate_record(null::account_move, to_jsonb(source) || shared.columns || jsonb_build_object(
        'id', shared.move, 'payment_id', shared.payment, 'commercial_partner_id', shared.columns -> 'partner_id',
        'name', numbered.prefix || lpad(numbered.number::text, 5, '0'),
        'sequence_prefix', numbered.prefix, 'sequence_number', numbered.number,
        'amount_total', shared.amount, 'amount_total_signed', shared.amount,
        'amount_total_in_currency_signed', shared.amount
    )) as made
    returning *
),

full_reconcile as (
    insert into account_full_reconcile (id, create_uid, create_date, write_uid, write_date)
    select
        full_,
        1,
        $4::timestamp,
        1,
        $4::timestamp
    from shared
    returning id
),

lines as (
    insert into account_move_line
    select made.*
    from account_move_line as source
    inner join numbered on source.move_id = numbered.id
    cross join shared
    cross join move
    cross join full_reconcile
    cross join lateral (select case when source.display_type = 'payment_term' then -1 else 1 end as sign) as side
    cross join lateral jsonb_populate_record(null::account_move_line, to_jsonb(source) || shared.columns || jsonb_build_object(
        'id', case when side.sign < 0 then shared.counterpart else shared.outstanding end,
        'move_id', shared.move, 'move_name', move.name, 'payment_id', shared.payment, 'date_maturity', $3::date,
        'name', 'Customer Payment ' || move.name,
        'debit', case when side.sign > 0 then shared.amount else 0 end,
        'credit', case when side.sign < 0 then shared.amount else 0 end,
        'balance', side.sign * shared.amount, 'amount_currency', side.sign * shared.amount,
        'amount_residual', case when side.sign > 0 then shared.amount else 0 end,
        'amount_residual_currency', case when side.sign > 0 then shared.amount else 0 end,
        'reconciled', side.sign < 0,
        'full_reconcile_id', case when side.sign < 0 then full_reconcile.id end,
        'matching_number', case when side.sign < 0 then full_reconcile.id::text end
    )) as made
    returning id
),

payment as (
    insert into account_payment
    select made.*
    from account_payment as source
    cross join shared
    cross join lateral jsonb_populate_record(null::account_payment, to_jsonb(source) || shared.columns || jsonb_build_object(
        'id', shared.payment, 'move_id', shared.move, 'payment_reference', shared.columns ->> 'ref',
        'amount', shared.amount, 'amount_company_currency_signed', shared.amount,
        'is_reconciled', true, 'is_matched', false
    )) as made
    where source.id = $2
    returning id
),

partial as (
    insert into account_partial_reconcile (
        id, debit_move_id, credit_move_id, full_reconcile_id, debit_currency_id, credit_currency_id, company_id, max_date,
        amount, debit_amount_currency, credit_amount_currency, create_uid, create_date, write_uid, write_date
    )
    select
        shared.partial,
        shared.line_id,
        shared.counterpart,
        full_reconcile.id,
        move.currency_id,
        move.currency_id,
        move.company_id,
        $3::date,
        shared.amount,
        shared.amount,
        shared.amount,
        1,
        $4::timestamp,
        1,
        $4::timestamp
    from shared
    cross join full_reconcile
    cross join move
    returning id
),

settled_line as (
    update account_move_line as line
    set
        amount_residual = 0, amount_residual_currency = 0, reconciled = true,
        full_reconcile_id = full_reconcile.id, matching_number = full_reconcile.id::text, write_date = $4::timestamp
    from shared, full_reconcile
    where line.id = shared.line_id
    returning line.id
),

settled_move as (
    update account_move
    set amount_residual = 0, amount_residual_signed = 0, payment_state = 'paid', write_date = $4::timestamp
    where id = $1
    returning id
)

select
    payment.id,
    move.id
from payment
cross join move;
