"""Which tables and columns are taken, and to which group they belong."""

from __future__ import annotations

import pytest

from lakehouse_executor.sources.scope import Scope


def test_the_default_takes_what_lasts_and_leaves_out_noise() -> None:
    scope = Scope()

    assert scope.takes("sale_order", ["sale.order"], by_default=True)
    assert not scope.takes("sale_wizard", ["sale.wizard"], by_default=False)
    assert not scope.takes("ir_logging", ["ir.logging"], by_default=True)
    assert not scope.takes("bus_bus", ["bus.bus"], by_default=True)


def test_include_adds_and_exclude_takes_away() -> None:
    scope = Scope.of({"include": ["ir_logging", "mail_*"], "exclude": ["mail_message", "sale.order", "ir_*"]})

    assert scope.takes("ir_logging", ["ir.logging"], by_default=True)
    assert scope.takes("mail_wizard", ["mail.wizard"], by_default=False)
    assert not scope.takes("mail_message", ["mail.message"], by_default=True)
    assert not scope.takes("sale_order", ["sale.order"], by_default=True)
    assert not scope.takes("ir_model", ["ir.model"], by_default=True)


@pytest.mark.parametrize(
    "name",
    [
        "res_users.password",
        "res_users.totp_secret",
        "res_partner.signup_token",
        "account_move.access_token",
        "res_users_apikeys.key",
        "ir_config_parameter.value",
        "payment_provider.stripe_secret_key",
        "google_account.calendar_rtoken",
        "fetchmail_server.password",
        "ir_mail_server.smtp_pass",
        "iap_account.account_token",
        "res_company.some_api_key",
        "res_company.apikey",
        "ir_attachment.db_datas",
        "ir_attachment.index_content",
    ],
)
def test_secrets_and_file_contents_are_left_out(name: str) -> None:
    assert not Scope().takes_column(*name.split("."))


@pytest.mark.parametrize(
    "name", ["res_partner.name", "account_move.payment_reference", "ir_property.value", "x.credit"]
)
def test_ordinary_columns_are_taken(name: str) -> None:
    assert Scope().takes_column(*name.split("."))


def test_columns_are_left_out_by_pattern() -> None:
    scope = Scope.of({"exclude_columns": ["res_*.comment"]})

    assert not scope.takes_column("res_partner", "comment")
    assert scope.takes_column("sale_order", "comment")


def test_groups_follow_the_first_matching_pattern() -> None:
    own = Scope.of({"groups": {"ops": ["account.asset"], "finance": ["account.*"]}})

    assert [own.group(model) for model in ("account.asset", "account.move", "x.y")] == ["ops", "finance", "masterdata"]
    assert [Scope().group(model) for model in ("account.move", "sale.order", "hr.expense.sheet", "res.partner")] == [
        "finance",
        "ops",
        "ops",
        "masterdata",
    ]
