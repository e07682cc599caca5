-- Run by `generate` after the load: the checks, unique keys and the reporting view that Odoo's own tables carry.
create unique index account_move_unique_name on account_move (name, journal_id)
where state = 'posted' and name <> '/';

alter table account_move_line
add constraint account_move_line_check_credit_debit
check (display_type in ('line_section', 'line_note') or credit * debit = 0),
add constraint account_move_line_check_amount_currency_balance_sign
check (
    display_type in ('line_section', 'line_note')
    or (balance <= 0 and amount_currency <= 0)
    or (balance >= 0 and amount_currency >= 0)
),
add constraint account_move_line_check_accountable_required_fields
check (display_type in ('line_section', 'line_note') or account_id is not null),
add constraint account_move_line_check_non_accountable_fields_null
check (
    display_type not in ('line_section', 'line_note')
    or (amount_currency = 0 and debit = 0 and credit = 0 and account_id is null)
);

create index account_move_line_account_id_date_idx on account_move_line (account_id, date);
create index account_move_line_partner_id_ref_idx on account_move_line (partner_id, ref);
create index account_move_line__unreconciled_index on account_move_line (account_id, partner_id)
where reconciled is not true and parent_state = 'posted';

alter table account_journal add constraint account_journal_code_company_uniq unique (company_id, code);
alter table res_company add constraint res_company_name_uniq unique (name);
alter table res_currency add constraint res_currency_unique_name unique (name);
alter table res_currency add constraint res_currency_rounding_gt_zero check (rounding > 0);
alter table res_currency_rate add constraint res_currency_rate_unique_name_per_day unique (name, currency_id, company_id);
alter table res_currency_rate add constraint res_currency_rate_currency_rate_check check (rate > 0);
alter table res_users add constraint res_users_login_key unique (login);
alter table stock_warehouse add constraint stock_warehouse_warehouse_code_uniq unique (code, company_id);
alter table ir_model add constraint ir_model_obj_name_uniq unique (model);
alter table ir_model_fields add constraint ir_model_fields_name_unique unique (model, name);
alter table ir_module_module add constraint ir_module_module_name_uniq unique (name);
create unique index ir_model_data_module_name_uniq_index on ir_model_data (module, name);
create index ir_model_data_model_res_id_index on ir_model_data (model, res_id);
create unique index ir_property_unique_index on ir_property (fields_id, coalesce(company_id, 0), coalesce(res_id, ''));
create unique index project_task_user_rel_project_personal_stage_unique on project_task_user_rel (task_id, user_id);

create view account_invoice_report as
select
    line.id,
    line.move_id,
    line.journal_id,
    line.company_id,
    line.company_currency_id,
    line.partner_id,
    move.commercial_partner_id,
    move.invoice_user_id,
    line.product_id,
    line.product_uom_id,
    line.account_id,
    line.currency_id,
    move.team_id,
    move.move_type,
    move.state,
    move.payment_state,
    move.invoice_date,
    move.invoice_date_due,
    line.quantity,
    -line.balance as price_subtotal,
    line.price_total
from account_move_line as line
inner join account_move as move on line.move_id = move.id
where
    move.move_type in ('out_invoice', 'out_refund', 'in_invoice', 'in_refund')
    and line.display_type = 'product';
