"""The first schema."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alert",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("measure", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("levels", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("recurrence", sa.Text(), nullable=False),
        sa.Column("meter", sa.Text(), nullable=True),
        sa.Column("asset", sa.Text(), nullable=True),
        sa.Column("customer", sa.Text(), nullable=True),
        sa.Column("customer_id", sa.UUID(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("emails", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("environment", "id", name=op.f("pk_alert")),
    )
    op.create_index(
        "ix_alert_customer",
        "alert",
        ["environment", "customer_id"],
        unique=False,
        postgresql_where=sa.text("customer_id IS NOT NULL"),
    )
    op.create_index("ix_alert_sequence", "alert", ["environment", "sequence"], unique=False)
    op.create_table(
        "alert_watch",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("meter", sa.Text(), nullable=False),
        sa.Column("alert", sa.Text(), nullable=False),
        sa.Column("customer", sa.Text(), nullable=False),
        sa.Column("test_clock", sa.Text(), nullable=True),
        sa.Column("window_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("window_end", sa.DateTime(timezone=True), nullable=True),
        sa.Column("size", sa.Numeric(), nullable=True),
        sa.Column("value", sa.Numeric(), nullable=True),
        sa.Column("crossed", postgresql.ARRAY(sa.Numeric()), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "meter", "alert", name=op.f("pk_alert_watch")),
    )
    op.create_table(
        "api_key",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("last4", sa.Text(), nullable=False),
        sa.Column("permissions", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("environment", "id", name=op.f("pk_api_key")),
        sa.UniqueConstraint("digest", name=op.f("uq_api_key_digest")),
    )
    op.create_table(
        "asset",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("precision", sa.Integer(), nullable=True),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column("symbol", sa.Text(), nullable=True),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("environment", "code", name=op.f("pk_asset")),
    )
    op.create_table(
        "asset_rate",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_to", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rate", sa.Numeric(precision=38, scale=12), nullable=False),
        sa.PrimaryKeyConstraint("environment", "code", "source", "valid_from", name=op.f("pk_asset_rate")),
    )
    op.create_table(
        "backfill_event",
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("correction", sa.Text(), nullable=False),
        sa.Column("identifier16", sa.UUID(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("identifier", sa.Text(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("value", sa.Numeric(), nullable=False),
        sa.Column("member", sa.Text(), nullable=True),
        sa.Column("dimensions", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("customer_id", "correction", "identifier16", name=op.f("pk_backfill_event")),
    )
    op.create_table(
        "balance_transaction",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("customer", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("ending_balance", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("invoice", sa.Text(), nullable=True),
        sa.Column("credit_note", sa.Text(), nullable=True),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "id", name=op.f("pk_balance_transaction")),
    )
    op.create_index("ix_balance_transaction_customer", "balance_transaction", ["customer_id", "sequence"], unique=False)
    op.create_table(
        "budget",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("spender", sa.Text(), nullable=True),
        sa.Column("asset", sa.Text(), nullable=True),
        sa.Column("usage", sa.Text(), nullable=True),
        sa.Column("amount", sa.Numeric(precision=38, scale=12), nullable=False),
        sa.Column("window", sa.Text(), nullable=False),
        sa.Column("hard", sa.Boolean(), nullable=False),
        sa.Column("marks", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.CheckConstraint("num_nonnulls(asset, usage) = 1", name=op.f("ck_budget_of_one_thing")),
        sa.PrimaryKeyConstraint("customer_id", "id", name=op.f("pk_budget")),
    )
    op.create_table(
        "budget_reservation",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("hold", sa.Text(), nullable=False),
        sa.Column("budget", sa.Text(), nullable=False),
        sa.Column("window_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("amount", sa.Numeric(precision=38, scale=12), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "hold", "budget", "window_start", name=op.f("pk_budget_reservation")),
    )
    op.create_table(
        "budget_tally",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("budget", sa.Text(), nullable=False),
        sa.Column("window_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("spent", sa.Numeric(precision=38, scale=12), nullable=False),
        sa.Column("reserved", sa.Numeric(precision=38, scale=12), nullable=False),
        sa.CheckConstraint("reserved >= 0", name=op.f("ck_budget_tally_reserved")),
        sa.PrimaryKeyConstraint("customer_id", "budget", "window_start", name=op.f("pk_budget_tally")),
        postgresql_with={"fillfactor": 50},
    )
    op.create_table(
        "catalog_version",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("environment", name=op.f("pk_catalog_version")),
    )
    op.create_table(
        "checkout",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("customer", sa.Text(), nullable=True),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("payment_status", sa.Text(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("lines", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("success_url", sa.Text(), nullable=True),
        sa.Column("cancel_url", sa.Text(), nullable=True),
        sa.Column("client_reference_id", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("make_customer", sa.Boolean(), nullable=False),
        sa.Column("trial_days", sa.Integer(), nullable=True),
        sa.Column("default_tax_rates", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("tax_exempt", sa.Text(), nullable=False),
        sa.Column("tax_rounding", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("setup_future_usage", sa.Text(), nullable=True),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("result_metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("payment", sa.Text(), nullable=True),
        sa.Column("setup", sa.Text(), nullable=True),
        sa.Column("subscription", sa.Text(), nullable=True),
        sa.Column("invoice", sa.Text(), nullable=True),
        sa.Column("payer_name", sa.Text(), nullable=True),
        sa.Column("payer_email", sa.Text(), nullable=True),
        sa.Column("credit_order", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("credit_grant", sa.Text(), nullable=True),
        sa.Column("coupon", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("promotion_code", sa.Text(), nullable=True),
        sa.Column("allow_promotion_codes", sa.Boolean(), nullable=True),
        sa.Column("discount", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("customer_id", "id", name=op.f("pk_checkout")),
    )
    op.create_index("ix_checkout_customer", "checkout", ["environment", "customer", "sequence"], unique=False)
    op.create_index("ix_checkout_payment", "checkout", ["environment", "payment"], unique=False)
    op.create_index("ix_checkout_sequence", "checkout", ["environment", "sequence"], unique=False)
    op.create_index("ix_checkout_setup", "checkout", ["environment", "setup"], unique=False)
    op.create_index("ix_checkout_subscription", "checkout", ["environment", "subscription"], unique=False)
    op.create_table(
        "coupon",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("duration", sa.Text(), nullable=False),
        sa.Column("duration_in_months", sa.Integer(), nullable=True),
        sa.Column("percent_off", sa.Numeric(), nullable=True),
        sa.Column("amount_off", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("currency_options", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("products", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("max_redemptions", sa.BigInteger(), nullable=True),
        sa.Column("redeem_by", sa.DateTime(timezone=True), nullable=True),
        sa.Column("times_redeemed", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.CheckConstraint("times_redeemed <= max_redemptions", name=op.f("ck_coupon_redeemed_as_often_as_allowed")),
        sa.PrimaryKeyConstraint("environment", "id", name=op.f("pk_coupon")),
    )
    op.create_index("ix_coupon_sequence", "coupon", ["environment", "sequence"], unique=False)
    op.create_table(
        "credit_grant",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("customer", sa.Text(), nullable=False),
        sa.Column("test_clock", sa.Text(), nullable=True),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated", sa.DateTime(timezone=True), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.Column("remaining", sa.BigInteger(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("effective_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("voided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("applied", sa.Boolean(), nullable=False),
        sa.Column("prices", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "id", name=op.f("pk_credit_grant")),
    )
    op.create_index("ix_credit_grant_customer", "credit_grant", ["customer_id", "sequence"], unique=False)
    op.create_index("ix_credit_grant_sequence", "credit_grant", ["environment", "sequence"], unique=False)
    op.create_table(
        "credit_note",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("customer", sa.Text(), nullable=False),
        sa.Column("test_clock", sa.Text(), nullable=True),
        sa.Column("invoice", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("effective_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("pre_payment", sa.BigInteger(), nullable=False),
        sa.Column("post_payment", sa.BigInteger(), nullable=False),
        sa.Column("to_balance", sa.BigInteger(), nullable=False),
        sa.Column("out_of_band", sa.BigInteger(), nullable=False),
        sa.Column("refunds", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("customer_balance_transaction", sa.Text(), nullable=True),
        sa.Column("lines", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("memo", sa.Text(), nullable=True),
        sa.Column("voided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "id", name=op.f("pk_credit_note")),
    )
    op.create_index("ix_credit_note_customer", "credit_note", ["customer_id", "sequence"], unique=False)
    op.create_index("ix_credit_note_invoice", "credit_note", ["customer_id", "invoice", "sequence"], unique=False)
    op.create_index("ix_credit_note_number", "credit_note", ["customer_id", "number"], unique=True)
    op.create_index("ix_credit_note_sequence", "credit_note", ["environment", "sequence"], unique=False)
    op.create_table(
        "credit_transaction",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("customer", sa.Text(), nullable=False),
        sa.Column("test_clock", sa.Text(), nullable=True),
        sa.Column("grant", sa.Text(), nullable=False),
        sa.Column("movement", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("effective_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("invoice", sa.Text(), nullable=True),
        sa.Column("line", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("customer_id", "id", name=op.f("pk_credit_transaction")),
    )
    op.create_index(
        "ix_credit_transaction_grant", "credit_transaction", ["customer_id", "grant", "sequence"], unique=False
    )
    op.create_index("ix_credit_transaction_invoice", "credit_transaction", ["customer_id", "invoice"], unique=False)
    op.create_index("ix_credit_transaction_sequence", "credit_transaction", ["environment", "sequence"], unique=False)
    op.create_table(
        "customer",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("invoice_prefix", sa.Text(), nullable=False),
        sa.Column("next_invoice_sequence", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("address", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("shipping", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("balance", sa.BigInteger(), nullable=False),
        sa.Column("discount", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("delinquent", sa.Boolean(), nullable=False),
        sa.Column("tax_exempt", sa.Text(), nullable=False),
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.Column("invoice_settings", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("preferred_locales", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("test_clock", sa.Text(), nullable=True),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("extra", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_customer")),
    )
    op.create_index("ix_customer_email", "customer", ["environment", "email", "sequence"], unique=False)
    op.create_index("ix_customer_id", "customer", ["environment", "id"], unique=False)
    op.create_index("ix_customer_sequence", "customer", ["environment", "sequence"], unique=False)
    op.create_index(
        "ix_customer_test_clock",
        "customer",
        ["environment", "test_clock"],
        unique=False,
        postgresql_where=sa.text("test_clock IS NOT NULL"),
    )
    op.create_table(
        "delivery",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("notice", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("object_sequence", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("endpoint", "position", name=op.f("pk_delivery")),
    )
    op.create_index(
        "ix_delivery_due",
        "delivery",
        ["endpoint", "due_at", "position"],
        unique=False,
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_index(
        "ix_delivery_order",
        "delivery",
        ["endpoint", "object_id", "object_sequence"],
        unique=False,
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_index("ix_delivery_position", "delivery", ["position"], unique=False)
    op.create_table(
        "delivery_attempt",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("notice", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("duration_ms", sa.Integer(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("request_headers", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("request_body", sa.Text(), nullable=False),
        sa.Column("response_status", sa.Integer(), nullable=True),
        sa.Column("response_headers", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("response_body", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("endpoint", "position", "sequence", name=op.f("pk_delivery_attempt")),
    )
    op.create_index("ix_delivery_attempt_notice", "delivery_attempt", ["environment", "notice"], unique=False)
    op.create_index("ix_delivery_attempt_position", "delivery_attempt", ["position"], unique=False)
    op.create_index(
        "ix_delivery_attempt_sequence", "delivery_attempt", ["environment", "endpoint", "sequence"], unique=False
    )
    op.create_table(
        "discount",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("customer", sa.Text(), nullable=True),
        sa.Column("coupon", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("end", sa.DateTime(timezone=True), nullable=True),
        sa.Column("promotion_code", sa.Text(), nullable=True),
        sa.Column("subscription", sa.Text(), nullable=True),
        sa.Column("subscription_item", sa.Text(), nullable=True),
        sa.Column("invoice", sa.Text(), nullable=True),
        sa.Column("invoice_item", sa.Text(), nullable=True),
        sa.Column("checkout_session", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("customer_id", "id", name=op.f("pk_discount")),
    )
    op.create_table(
        "dispute",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("charge", sa.Text(), nullable=False),
        sa.Column("payment", sa.Text(), nullable=False),
        sa.Column("processor", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_by", sa.DateTime(timezone=True), nullable=False),
        sa.Column("evidence", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("submissions", sa.Integer(), nullable=False),
        sa.Column("taken", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("unsent", sa.Text(), nullable=True),
        sa.Column("brand", sa.Text(), nullable=True),
        sa.Column("balance_transactions", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "id", name=op.f("pk_dispute")),
        sa.UniqueConstraint("customer_id", "processor", "reference", name="uq_dispute_reference"),
    )
    op.create_index("ix_dispute_charge", "dispute", ["customer_id", "charge", "sequence"], unique=False)
    op.create_index("ix_dispute_payment", "dispute", ["customer_id", "payment", "sequence"], unique=False)
    op.create_index("ix_dispute_sequence", "dispute", ["environment", "sequence"], unique=False)
    op.create_table(
        "due",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("boundary", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("clock", sa.Text(), nullable=True),
        sa.Column("claimed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("customer_id", "kind", "subject", "boundary", name=op.f("pk_due")),
    )
    op.create_index(
        "ix_due_clock",
        "due",
        ["environment", "clock", "due_at"],
        unique=False,
        postgresql_where=sa.text("clock IS NOT NULL"),
    )
    op.create_index(
        "ix_due_customer",
        "due",
        ["customer_id", "due_at", "sequence"],
        unique=False,
        postgresql_where=sa.text("clock IS NULL AND failed_at IS NULL"),
    )
    op.create_index(
        "ix_due_wall",
        "due",
        ["due_at", "sequence"],
        unique=False,
        postgresql_where=sa.text("clock IS NULL AND failed_at IS NULL"),
    )
    op.create_table(
        "external_id",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.PrimaryKeyConstraint("environment", "external_id", name=op.f("pk_external_id")),
    )
    op.create_table(
        "idempotency_key",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("environment", "key", name=op.f("pk_idempotency_key")),
    )
    op.create_table(
        "invoice",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("customer", sa.Text(), nullable=False),
        sa.Column("test_clock", sa.Text(), nullable=True),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("billing_reason", sa.Text(), nullable=False),
        sa.Column("collection_method", sa.Text(), nullable=False),
        sa.Column("auto_advance", sa.Boolean(), nullable=False),
        sa.Column("period_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("period_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("discounts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("amounts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("amount_due", sa.BigInteger(), nullable=False),
        sa.Column("amount_remaining", sa.BigInteger(), nullable=False),
        sa.Column("bill_to", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("number", sa.Text(), nullable=True),
        sa.Column("subscription", sa.Text(), nullable=True),
        sa.Column("subscription_metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("subscription_proration_date", sa.DateTime(timezone=True), nullable=True),
        sa.Column("default_payment_method", sa.Text(), nullable=True),
        sa.Column("default_tax_rates", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("days_until_due", sa.Integer(), nullable=True),
        sa.Column("due_date", sa.DateTime(timezone=True), nullable=True),
        sa.Column("effective_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("automatically_finalizes_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_payment_attempt", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempted", sa.Boolean(), nullable=False),
        sa.Column("attempt_count", sa.Integer(), nullable=False),
        sa.Column("finalized_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("usage_counted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("voided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("marked_uncollectible_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("uncollectible_reason", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("footer", sa.Text(), nullable=True),
        sa.Column("statement_descriptor", sa.Text(), nullable=True),
        sa.Column("custom_fields", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("rendering", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("payment_method_types", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("deleted", sa.Boolean(), server_default="false", nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "id", name=op.f("pk_invoice")),
    )
    op.create_index("ix_invoice_customer", "invoice", ["customer_id", "sequence"], unique=False)
    op.create_index(
        "ix_invoice_number",
        "invoice",
        ["customer_id", "number"],
        unique=True,
        postgresql_where=sa.text("number IS NOT NULL"),
    )
    op.create_index("ix_invoice_sequence", "invoice", ["environment", "sequence"], unique=False)
    op.create_index("ix_invoice_subscription", "invoice", ["customer_id", "subscription", "sequence"], unique=False)
    op.create_index(
        "ix_invoice_test_clock",
        "invoice",
        ["environment", "test_clock"],
        unique=False,
        postgresql_where=sa.text("test_clock IS NOT NULL"),
    )
    op.create_table(
        "invoice_item",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("customer", sa.Text(), nullable=False),
        sa.Column("test_clock", sa.Text(), nullable=True),
        sa.Column("date", sa.DateTime(timezone=True), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Numeric(), nullable=False),
        sa.Column("period_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("period_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("discountable", sa.Boolean(), nullable=False),
        sa.Column("discounts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("price", sa.Text(), nullable=True),
        sa.Column("product", sa.Text(), nullable=True),
        sa.Column("unit_amount", sa.Numeric(), nullable=True),
        sa.Column("subscription", sa.Text(), nullable=True),
        sa.Column("subscription_item", sa.Text(), nullable=True),
        sa.Column("proration", sa.Boolean(), nullable=False),
        sa.Column("credited", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("invoice", sa.Text(), nullable=True),
        sa.Column("tax_rates", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("deleted", sa.Boolean(), server_default="false", nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "id", name=op.f("pk_invoice_item")),
    )
    op.create_index("ix_invoice_item_invoice", "invoice_item", ["customer_id", "invoice"], unique=False)
    op.create_index(
        "ix_invoice_item_pending",
        "invoice_item",
        ["customer_id", "sequence"],
        unique=False,
        postgresql_where=sa.text("invoice IS NULL AND NOT deleted"),
    )
    op.create_index("ix_invoice_item_sequence", "invoice_item", ["environment", "sequence"], unique=False)
    op.create_table(
        "invoice_line",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("invoice", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("period_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("period_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("quantity", sa.Numeric(), nullable=True),
        sa.Column("discountable", sa.Boolean(), nullable=False),
        sa.Column("price", sa.Text(), nullable=True),
        sa.Column("product", sa.Text(), nullable=True),
        sa.Column("unit_amount", sa.Numeric(), nullable=True),
        sa.Column("subscription", sa.Text(), nullable=True),
        sa.Column("subscription_item", sa.Text(), nullable=True),
        sa.Column("invoice_item", sa.Text(), nullable=True),
        sa.Column("proration", sa.Boolean(), nullable=False),
        sa.Column("credited", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("usage_start", sa.DateTime(timezone=True), nullable=True),
        sa.Column("usage_end", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tier", sa.Integer(), nullable=True),
        sa.Column("flat", sa.Boolean(), nullable=False),
        sa.Column("late", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("tax_rates", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("discounts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("credits", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("taxes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "id", name=op.f("pk_invoice_line")),
    )
    op.create_index("ix_invoice_line_invoice", "invoice_line", ["customer_id", "invoice", "position"], unique=False)
    op.create_index("ix_invoice_line_invoice_item", "invoice_line", ["customer_id", "invoice_item"], unique=False)
    op.create_index(
        "ix_invoice_line_subscription_item",
        "invoice_line",
        ["customer_id", "subscription_item", "period_start"],
        unique=False,
    )
    op.create_table(
        "invoice_payment",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("invoice", sa.Text(), nullable=False),
        sa.Column("payment", sa.Text(), nullable=False),
        sa.Column("amount_requested", sa.BigInteger(), nullable=False),
        sa.Column("amount_paid", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("canceled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "id", name=op.f("pk_invoice_payment")),
    )
    op.create_index(
        "ix_invoice_payment_invoice", "invoice_payment", ["customer_id", "invoice", "sequence"], unique=False
    )
    op.create_index(
        "ix_invoice_payment_payment", "invoice_payment", ["customer_id", "payment", "sequence"], unique=False
    )
    op.create_index("ix_invoice_payment_sequence", "invoice_payment", ["environment", "sequence"], unique=False)
    op.create_table(
        "ledger_account",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("posted", sa.Numeric(precision=38, scale=12), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "kind", "asset", name=op.f("pk_ledger_account")),
        postgresql_with={"fillfactor": 50},
    )
    op.create_table(
        "ledger_head",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("booked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_ledger_head")),
        postgresql_with={"fillfactor": 50},
    )
    op.create_table(
        "ledger_transfer",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("transaction", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("debit", sa.Text(), nullable=False),
        sa.Column("credit", sa.Text(), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("amount", sa.Numeric(precision=38, scale=12), nullable=False),
        sa.Column("grant_id", sa.Text(), nullable=True),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("cause_id", sa.Text(), nullable=False),
        sa.Column("business_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("booked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("ck_ledger_transfer_positive")),
        sa.CheckConstraint("debit <> credit", name=op.f("ck_ledger_transfer_moves")),
        sa.PrimaryKeyConstraint("customer_id", "transaction", "line", name=op.f("pk_ledger_transfer")),
    )
    op.create_index(
        "ix_ledger_transfer_cause",
        "ledger_transfer",
        ["customer_id", "cause", "cause_id"],
        unique=False,
        postgresql_where=sa.text("cause <> 'event'"),
    )
    op.create_table(
        "mail",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("customer_id", "sequence", name=op.f("pk_mail")),
    )
    op.create_index("ix_mail_due", "mail", ["due_at"], unique=False, postgresql_where=sa.text("status = 'pending'"))
    op.create_table(
        "meter",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("event_name", sa.Text(), nullable=False),
        sa.Column("formula", sa.Text(), nullable=False),
        sa.Column("event_time_window", sa.Text(), nullable=True),
        sa.Column("customer_key", sa.Text(), nullable=False),
        sa.Column("value_key", sa.Text(), nullable=False),
        sa.Column("dimension_keys", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("deactivated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("environment", "id", name=op.f("pk_meter")),
        sa.UniqueConstraint("environment", "event_name", name=op.f("uq_meter_environment_event_name")),
    )
    op.create_index("ix_meter_sequence", "meter", ["environment", "sequence"], unique=False)
    op.create_table(
        "meter_event_session",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("environment", "id", name=op.f("pk_meter_event_session")),
        sa.UniqueConstraint("digest", name=op.f("uq_meter_event_session_digest")),
    )
    op.create_index("ix_meter_event_session_expires_at", "meter_event_session", ["expires_at"], unique=False)
    op.create_table(
        "notice",
        sa.Column("lane", sa.SmallInteger(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=True),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("object_sequence", sa.BigInteger(), nullable=False),
        sa.Column("snapshot", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("previous", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("position", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("lane", "sequence", name=op.f("pk_notice")),
        sa.UniqueConstraint(
            "lane",
            "environment",
            "object_id",
            "object_sequence",
            name=op.f("uq_notice_lane_environment_object_id_object_sequence"),
        ),
    )
    op.create_index("ix_notice_id", "notice", ["environment", "id"], unique=False)
    op.create_index("ix_notice_object", "notice", ["environment", "object_id", "object_sequence"], unique=False)
    op.create_index(
        "ix_notice_position", "notice", ["position"], unique=False, postgresql_where=sa.text("position IS NOT NULL")
    )
    op.create_index("ix_notice_recorded", "notice", ["recorded_at"], unique=False)
    op.create_index("ix_notice_sequence", "notice", ["environment", "sequence"], unique=False)
    op.create_index(
        "ix_notice_unpublished",
        "notice",
        ["recorded_at", "sequence"],
        unique=False,
        postgresql_where=sa.text("position IS NULL"),
    )
    op.create_table(
        "notice_object",
        sa.Column("lane", sa.SmallInteger(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("lane", "environment", "object_id", name=op.f("pk_notice_object")),
    )
    op.create_table(
        "offer",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("product", sa.Text(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("default_version", sa.Integer(), nullable=True),
        sa.Column("latest_version", sa.Integer(), nullable=False),
        sa.Column("archived", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("environment", "product", name=op.f("pk_offer")),
        sa.UniqueConstraint("environment", "code", name=op.f("uq_offer_environment_code")),
    )
    op.create_index("ix_offer_sequence", "offer", ["environment", "sequence"], unique=False)
    op.create_table(
        "offer_version",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("product", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("prices", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("entitlements", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("environment", "product", "version", name=op.f("pk_offer_version")),
    )
    op.create_table(
        "payment",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("customer", sa.Text(), nullable=True),
        sa.Column("invoice", sa.Text(), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("tax", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("client_secret", sa.Text(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("payment_method", sa.Text(), nullable=True),
        sa.Column("last_refusal", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("refused_method", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("succeeded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("canceled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("amount_received", sa.BigInteger(), nullable=False),
        sa.Column("amount_capturable", sa.BigInteger(), nullable=False),
        sa.Column("capture_method", sa.Text(), nullable=False),
        sa.Column("setup_future_usage", sa.Text(), nullable=True),
        sa.Column("cancellation_reason", sa.Text(), nullable=True),
        sa.Column("latest_charge", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("receipt_email", sa.Text(), nullable=True),
        sa.Column("statement_descriptor", sa.Text(), nullable=True),
        sa.Column("statement_descriptor_suffix", sa.Text(), nullable=True),
        sa.Column("shipping", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("return_url", sa.Text(), nullable=True),
        sa.Column("top_up", sa.Text(), nullable=True),
        sa.Column("action_url", sa.Text(), nullable=True),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "id", name=op.f("pk_payment")),
    )
    op.create_index("ix_payment_customer", "payment", ["customer_id", "sequence"], unique=False)
    op.create_index("ix_payment_invoice", "payment", ["customer_id", "invoice"], unique=False)
    op.create_index("ix_payment_sequence", "payment", ["environment", "sequence"], unique=False)
    op.create_index(
        "ix_payment_unsettled",
        "payment",
        ["customer_id", "id"],
        unique=False,
        postgresql_where=sa.text("payment.status IN ('processing', 'requires_action', 'requires_capture')"),
    )
    op.create_table(
        "payment_attempt",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("payment", sa.Text(), nullable=False),
        sa.Column("payment_method", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("decline_code", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("customer", sa.Text(), nullable=True),
        sa.Column("processor", sa.Text(), nullable=False),
        sa.Column("automatic", sa.Boolean(), nullable=False),
        sa.Column("off_session", sa.Boolean(), nullable=False),
        sa.Column("captured", sa.Boolean(), nullable=False),
        sa.Column("amount_captured", sa.BigInteger(), nullable=False),
        sa.Column("amount_refunded", sa.BigInteger(), nullable=False),
        sa.Column("disputed", sa.Boolean(), nullable=False),
        sa.Column("capturing", sa.BigInteger(), nullable=True),
        sa.Column("balance_transaction", sa.Text(), nullable=True),
        sa.Column("authenticated", sa.Boolean(), nullable=False),
        sa.Column("presented", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("receipt_email", sa.Text(), nullable=True),
        sa.Column("statement_descriptor", sa.Text(), nullable=True),
        sa.Column("statement_descriptor_suffix", sa.Text(), nullable=True),
        sa.Column("shipping", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "id", name=op.f("pk_payment_attempt")),
    )
    op.create_index("ix_payment_attempt_customer", "payment_attempt", ["customer_id", "sequence"], unique=False)
    op.create_index(
        "ix_payment_attempt_payment", "payment_attempt", ["customer_id", "payment", "sequence"], unique=False
    )
    op.create_index(
        "ix_payment_attempt_reference", "payment_attempt", ["environment", "processor", "reference"], unique=False
    )
    op.create_index("ix_payment_attempt_sequence", "payment_attempt", ["environment", "sequence"], unique=False)
    op.create_table(
        "payment_method",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("customer", sa.Text(), nullable=True),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("card", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("processor", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("billing_details", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("allow_redisplay", sa.Text(), nullable=False),
        sa.Column("used", sa.Boolean(), nullable=False),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "id", name=op.f("pk_payment_method")),
    )
    op.create_index("ix_payment_method_customer", "payment_method", ["customer_id", "sequence"], unique=False)
    op.create_index("ix_payment_method_sequence", "payment_method", ["environment", "sequence"], unique=False)
    op.create_table(
        "payout",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("processor", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("automatic", sa.Boolean(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("arrival_date", sa.DateTime(timezone=True), nullable=False),
        sa.Column("explained", sa.BigInteger(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("balance_transaction", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("statement_descriptor", sa.Text(), nullable=True),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "id", name=op.f("pk_payout")),
        sa.UniqueConstraint("customer_id", "processor", "reference", name="uq_payout_reference"),
    )
    op.create_index("ix_payout_sequence", "payout", ["environment", "sequence"], unique=False)
    op.create_table(
        "portal_configuration",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated", sa.DateTime(timezone=True), nullable=False),
        sa.Column("features", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("headline", sa.Text(), nullable=True),
        sa.Column("privacy_policy_url", sa.Text(), nullable=True),
        sa.Column("terms_of_service_url", sa.Text(), nullable=True),
        sa.Column("default_return_url", sa.Text(), nullable=True),
        sa.Column("login", sa.Boolean(), nullable=False),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("environment", "id", name=op.f("pk_portal_configuration")),
    )
    op.create_index(
        "ix_portal_configuration_default",
        "portal_configuration",
        ["environment"],
        unique=True,
        postgresql_where=sa.text("is_default"),
    )
    op.create_index(
        "ix_portal_configuration_sequence", "portal_configuration", ["environment", "sequence"], unique=False
    )
    op.create_table(
        "portal_session",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("customer", sa.Text(), nullable=False),
        sa.Column("configuration", sa.Text(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("link_expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("return_url", sa.Text(), nullable=True),
        sa.Column("failure_url", sa.Text(), nullable=True),
        sa.Column("locale", sa.Text(), nullable=True),
        sa.Column("flow", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("recovery", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("link_digest", sa.LargeBinary(), nullable=False),
        sa.Column("visit_digest", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("mailed", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "id", name=op.f("pk_portal_session")),
    )
    op.create_table(
        "price",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("product", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("model", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("adjustment", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("recurring", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("inline", sa.Boolean(), nullable=False),
        sa.Column("nickname", sa.Text(), nullable=True),
        sa.Column("lookup_key", sa.Text(), nullable=True),
        sa.Column("tax_behavior", sa.Text(), nullable=False),
        sa.Column("currency_options", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("environment", "id", name=op.f("pk_price")),
        sa.UniqueConstraint("environment", "lookup_key", name=op.f("uq_price_environment_lookup_key")),
    )
    op.create_index("ix_price_product", "price", ["environment", "product", "sequence"], unique=False)
    op.create_index("ix_price_sequence", "price", ["environment", "sequence"], unique=False)
    op.create_table(
        "price_collection",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("price", sa.Text(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("collection", sa.Text(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "price", "starts_at", name=op.f("pk_price_collection")),
    )
    op.create_table(
        "product",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("default_price", sa.Text(), nullable=True),
        sa.Column("statement_descriptor", sa.Text(), nullable=True),
        sa.Column("unit_label", sa.Text(), nullable=True),
        sa.Column("tax_code", sa.Text(), nullable=True),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("shippable", sa.Boolean(), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("images", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("extra", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted", sa.Boolean(), server_default="false", nullable=False),
        sa.PrimaryKeyConstraint("environment", "id", name=op.f("pk_product")),
    )
    op.create_index("ix_product_sequence", "product", ["environment", "sequence"], unique=False)
    op.create_table(
        "promotion_code",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("typed", sa.Text(), nullable=False),
        sa.Column("coupon", sa.Text(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("customer", sa.Text(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("max_redemptions", sa.BigInteger(), nullable=True),
        sa.Column("times_redeemed", sa.BigInteger(), nullable=False),
        sa.Column("restrictions", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.CheckConstraint(
            "times_redeemed <= max_redemptions", name=op.f("ck_promotion_code_redeemed_as_often_as_allowed")
        ),
        sa.PrimaryKeyConstraint("environment", "id", name=op.f("pk_promotion_code")),
    )
    op.create_index(
        "ix_promotion_code_active",
        "promotion_code",
        ["environment", "typed", "customer"],
        unique=True,
        postgresql_where=sa.text("active"),
        postgresql_nulls_not_distinct=True,
    )
    op.create_index("ix_promotion_code_coupon", "promotion_code", ["environment", "coupon", "sequence"], unique=False)
    op.create_index("ix_promotion_code_sequence", "promotion_code", ["environment", "sequence"], unique=False)
    op.create_index("ix_promotion_code_typed", "promotion_code", ["environment", "typed", "sequence"], unique=False)
    op.create_table(
        "public_id",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("environment", "id", name=op.f("pk_public_id")),
    )
    op.create_table(
        "publisher",
        sa.Column("one", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("one", name=op.f("pk_publisher")),
    )
    op.create_table(
        "recent_identifier",
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("identifier16", sa.UUID(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("body16", sa.UUID(), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "identifier16", "day", name=op.f("pk_recent_identifier")),
        postgresql_partition_by="RANGE (day)",
    )
    op.create_index(
        "ix_recent_identifier_anyone",
        "recent_identifier",
        ["identifier16"],
        unique=False,
        postgresql_using="brin",
        postgresql_ops={"identifier16": "uuid_bloom_ops (n_distinct_per_range = 3200, false_positive_rate = 0.001)"},
        postgresql_with={"pages_per_range": 32},
    )
    op.create_table(
        "recharge_log",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("available", sa.Numeric(precision=38, scale=12), nullable=False),
        sa.Column("amount", sa.Numeric(precision=38, scale=12), nullable=True),
        sa.Column("top_up", sa.Text(), nullable=True),
        sa.Column("again_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "sequence", name=op.f("pk_recharge_log")),
    )
    op.create_table(
        "recharge_rule",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("threshold", sa.Numeric(precision=38, scale=12), nullable=False),
        sa.Column("target", sa.Numeric(precision=38, scale=12), nullable=False),
        sa.Column("monthly_cap", sa.Numeric(precision=38, scale=12), nullable=True),
        sa.Column("most_per_day", sa.Integer(), nullable=False),
        sa.Column("cool_off_s", sa.Integer(), nullable=False),
        sa.Column("payment_method", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("customer_id", "asset", name=op.f("pk_recharge_rule")),
    )
    op.create_table(
        "refund",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("customer", sa.Text(), nullable=True),
        sa.Column("charge", sa.Text(), nullable=False),
        sa.Column("payment", sa.Text(), nullable=False),
        sa.Column("payment_method", sa.Text(), nullable=False),
        sa.Column("processor", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("failure_reason", sa.Text(), nullable=True),
        sa.Column("taken", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("balance_transaction", sa.Text(), nullable=True),
        sa.Column("failure_balance_transaction", sa.Text(), nullable=True),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "id", name=op.f("pk_refund")),
    )
    op.create_index("ix_refund_charge", "refund", ["customer_id", "charge", "sequence"], unique=False)
    op.create_index("ix_refund_payment", "refund", ["customer_id", "payment", "sequence"], unique=False)
    op.create_index("ix_refund_sequence", "refund", ["environment", "sequence"], unique=False)
    op.create_table(
        "seller",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("tax_id", sa.Text(), nullable=True),
        sa.Column("address", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.PrimaryKeyConstraint("environment", name=op.f("pk_seller")),
    )
    op.create_table(
        "setup_intent",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("customer", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("client_secret", sa.Text(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("usage", sa.Text(), nullable=False),
        sa.Column("payment_method", sa.Text(), nullable=True),
        sa.Column("last_refusal", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("refused_method", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("cancellation_reason", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("return_url", sa.Text(), nullable=True),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "id", name=op.f("pk_setup_intent")),
    )
    op.create_index("ix_setup_intent_customer", "setup_intent", ["customer_id", "sequence"], unique=False)
    op.create_index(
        "ix_setup_intent_method", "setup_intent", ["environment", "payment_method", "sequence"], unique=False
    )
    op.create_index("ix_setup_intent_sequence", "setup_intent", ["environment", "sequence"], unique=False)
    op.create_table(
        "spender",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("parent", sa.Text(), nullable=True),
        sa.CheckConstraint("id <> parent", name=op.f("ck_spender_above")),
        sa.PrimaryKeyConstraint("customer_id", "id", name=op.f("pk_spender")),
    )
    op.create_table(
        "statement_line",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("processor", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("fee", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("available_on", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("payout", sa.Text(), nullable=True),
        sa.Column("paid_out", sa.BigInteger(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("customer_id", "id", name=op.f("pk_statement_line")),
        sa.UniqueConstraint("customer_id", "processor", "reference", name="uq_statement_line_reference"),
    )
    op.create_index("ix_statement_line_payout", "statement_line", ["environment", "payout", "sequence"], unique=False)
    op.create_index(
        "ix_statement_line_reference", "statement_line", ["environment", "processor", "reference"], unique=False
    )
    op.create_index("ix_statement_line_sequence", "statement_line", ["environment", "sequence"], unique=False)
    op.create_index("ix_statement_line_source", "statement_line", ["environment", "source"], unique=False)
    op.create_table(
        "stray_event",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("key16", sa.UUID(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("fate", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=True),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("event_name", sa.Text(), nullable=True),
        sa.Column("identifier", sa.Text(), nullable=True),
        sa.Column("request_key", sa.Text(), nullable=True),
        sa.Column("told", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen", sa.Integer(), nullable=False),
        sa.Column("reported_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("environment", "key16", name=op.f("pk_stray_event")),
    )
    op.create_index("ix_stray_event_fate", "stray_event", ["environment", "fate", "sequence"], unique=False)
    op.create_index("ix_stray_event_identifier", "stray_event", ["environment", "identifier"], unique=False)
    op.create_index(
        "ix_stray_event_unreported",
        "stray_event",
        ["environment"],
        unique=False,
        postgresql_where=sa.text("reported_at IS NULL"),
    )
    op.create_table(
        "subscription",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("customer", sa.Text(), nullable=False),
        sa.Column("test_clock", sa.Text(), nullable=True),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("start_date", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("anchor", sa.DateTime(timezone=True), nullable=False),
        sa.Column("billing_mode", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("anchor_config", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("collection_method", sa.Text(), nullable=False),
        sa.Column("days_until_due", sa.Integer(), nullable=True),
        sa.Column("default_payment_method", sa.Text(), nullable=True),
        sa.Column("default_tax_rates", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("trial_start", sa.DateTime(timezone=True), nullable=True),
        sa.Column("trial_end", sa.DateTime(timezone=True), nullable=True),
        sa.Column("trial_settings", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("cancel_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_at_period_end", sa.Boolean(), nullable=False),
        sa.Column("cancel_prorates", sa.Boolean(), nullable=False),
        sa.Column("canceled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancellation", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("pause_collection", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("paused", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("invoice_settings", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("payment_settings", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("discounts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("latest_invoice", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("customer_id", "id", name=op.f("pk_subscription")),
    )
    op.create_index("ix_subscription_customer", "subscription", ["customer_id", "sequence"], unique=False)
    op.create_index("ix_subscription_sequence", "subscription", ["environment", "sequence"], unique=False)
    op.create_index(
        "ix_subscription_test_clock",
        "subscription",
        ["environment", "test_clock"],
        unique=False,
        postgresql_where=sa.text("test_clock IS NOT NULL"),
    )
    op.create_table(
        "subscription_item",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("subscription", sa.Text(), nullable=False),
        sa.Column("price", sa.Text(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=True),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("period_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("period_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("usage_from", sa.DateTime(timezone=True), nullable=True),
        sa.Column("billed", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("billed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("discounts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("tax_rates", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("deleted", sa.Boolean(), server_default="false", nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "id", name=op.f("pk_subscription_item")),
    )
    op.create_index("ix_subscription_item_price", "subscription_item", ["environment", "price"], unique=False)
    op.create_index(
        "ix_subscription_item_subscription", "subscription_item", ["customer_id", "subscription"], unique=False
    )
    op.create_table(
        "tax_policy",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("rounding", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("environment", name=op.f("pk_tax_policy")),
    )
    op.create_table(
        "tax_rate",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("percentage", sa.Numeric(), nullable=False),
        sa.Column("inclusive", sa.Boolean(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("country", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("jurisdiction", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=True),
        sa.Column("tax_type", sa.Text(), nullable=True),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("environment", "id", name=op.f("pk_tax_rate")),
    )
    op.create_index("ix_tax_rate_sequence", "tax_rate", ["environment", "sequence"], unique=False)
    op.create_table(
        "test_clock",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deletes_after", sa.DateTime(timezone=True), nullable=False),
        sa.Column("frozen_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("target_frozen_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("claimed_by", sa.UUID(), nullable=True),
        sa.Column("claimed_until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("environment", "id", name=op.f("pk_test_clock")),
    )
    op.create_index(
        "ix_test_clock_advancing",
        "test_clock",
        ["claimed_until"],
        unique=False,
        postgresql_where=sa.text("status = 'advancing'"),
    )
    op.create_table(
        "token_price",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("prices", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("long_from", sa.Integer(), nullable=True),
        sa.Column("long", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("environment", "model", "valid_from", name=op.f("pk_token_price")),
    )
    op.create_table(
        "top_up",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("amount", sa.Numeric(precision=38, scale=12), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("return_url", sa.Text(), nullable=True),
        sa.Column("failure_url", sa.Text(), nullable=True),
        sa.Column("payment", sa.Text(), nullable=False),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("automatic", sa.Boolean(), nullable=False),
        sa.Column("credit_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("customer_id", "id", name=op.f("pk_top_up")),
    )
    op.create_index("ix_top_up_customer", "top_up", ["customer_id", "asset", "sequence"], unique=False)
    op.create_table(
        "usage_correction",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("customer", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("meter", sa.Text(), nullable=False),
        sa.Column("identifier", sa.Text(), nullable=True),
        sa.Column("start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("replaces", sa.Boolean(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("before", sa.Numeric(), nullable=True),
        sa.Column("after", sa.Numeric(), nullable=True),
        sa.Column("detail", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reverted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("through_stripe", sa.Boolean(), server_default="false", nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "id", name=op.f("pk_usage_correction")),
    )
    op.create_index("ix_usage_correction_id", "usage_correction", ["environment", "id"], unique=False)
    op.create_index("ix_usage_correction_sequence", "usage_correction", ["environment", "sequence"], unique=False)
    op.create_table(
        "usage_dimension",
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("meter", sa.Text(), nullable=False),
        sa.Column("dimensions16", sa.UUID(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("dimensions", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "meter", "dimensions16", name=op.f("pk_usage_dimension")),
    )
    op.create_table(
        "usage_event",
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("identifier16", sa.UUID(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("meter", sa.Text(), nullable=False),
        sa.Column("identifier", sa.Text(), nullable=False),
        sa.Column("value", sa.Numeric(), nullable=False),
        sa.Column("dimensions16", sa.UUID(), nullable=False),
        sa.Column("value16", sa.UUID(), nullable=True),
        sa.Column("body16", sa.UUID(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("voided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("voided_by", sa.Text(), nullable=True),
        sa.Column("made_by", sa.Text(), nullable=True),
        sa.Column("through_stripe", sa.Boolean(), server_default="false", nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "occurred_at", "identifier16", name=op.f("pk_usage_event")),
        postgresql_partition_by="RANGE (occurred_at)",
    )
    op.create_table(
        "usage_fee",
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("identifier16", sa.UUID(), nullable=False),
        sa.Column("price", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("subscription", sa.Text(), nullable=False),
        sa.Column("product", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("cell", sa.Text(), nullable=False),
        sa.Column("before", sa.Numeric(), nullable=True),
        sa.Column("after", sa.Numeric(), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("amount", sa.Numeric(precision=38, scale=12), nullable=False),
        sa.Column("transaction", sa.BigInteger(), nullable=True),
        sa.Column("paid", sa.Numeric(precision=38, scale=12), nullable=False),
        sa.Column("span", sa.DateTime(timezone=True), nullable=False),
        sa.Column("returned", sa.Numeric(precision=38, scale=12), nullable=True),
        sa.PrimaryKeyConstraint(
            "customer_id", "occurred_at", "identifier16", "price", "subscription", name=op.f("pk_usage_fee")
        ),
    )
    op.create_table(
        "usage_hour",
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("meter", sa.Text(), nullable=False),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("dimensions16", sa.UUID(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("sum", sa.Numeric(), nullable=False),
        sa.Column("max", sa.Numeric(), nullable=True),
        sa.Column("last", sa.Numeric(), nullable=True),
        sa.Column("last_occurred", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_received", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recent", sa.Numeric(), nullable=True),
        sa.Column("recent_received", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("customer_id", "meter", "hour", "dimensions16", name=op.f("pk_usage_hour")),
        postgresql_partition_by="RANGE (hour)",
    )
    op.create_table(
        "usage_policy",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("keep_events_days", sa.Integer(), nullable=True),
        sa.Column("late_usage", sa.Text(), server_default="next_invoice", nullable=False),
        sa.PrimaryKeyConstraint("environment", name=op.f("pk_usage_policy")),
    )
    op.create_table(
        "usage_unique",
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("meter", sa.Text(), nullable=False),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("dimensions16", sa.UUID(), nullable=False),
        sa.Column("value16", sa.UUID(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "customer_id", "meter", "hour", "dimensions16", "value16", name=op.f("pk_usage_unique")
        ),
        postgresql_partition_by="RANGE (hour)",
    )
    op.create_table(
        "vendor",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("environment", "id", name=op.f("pk_vendor")),
        sa.UniqueConstraint("environment", "external_id", name=op.f("uq_vendor_environment_external_id")),
    )
    op.create_table(
        "wallet",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("overdraft_limit", sa.Numeric(precision=38, scale=12), nullable=False),
        sa.Column("external_accounts", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_wallet")),
    )
    op.create_table(
        "wallet_event",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("data", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("costs", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("receipt", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("asset", sa.Text(), nullable=True),
        sa.Column("fee", sa.Numeric(precision=38, scale=12), nullable=False),
        sa.Column("cost", sa.Numeric(precision=38, scale=12), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "id", name=op.f("pk_wallet_event")),
    )
    op.create_index("ix_wallet_event_environment", "wallet_event", ["environment", "sequence"], unique=False)
    op.create_index("ix_wallet_event_id", "wallet_event", ["environment", "id"], unique=False)
    op.create_index("ix_wallet_event_sequence", "wallet_event", ["customer_id", "sequence"], unique=False)
    op.create_index("ix_wallet_event_subject", "wallet_event", ["customer_id", "subject"], unique=False)
    op.create_table(
        "wallet_grant",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("funding", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("granted", sa.Numeric(precision=38, scale=12), nullable=False),
        sa.Column("remaining", sa.Numeric(precision=38, scale=12), nullable=False),
        sa.Column("held", sa.Numeric(precision=38, scale=12), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("effective_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("scope", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("lapsed", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            "0 <= held AND held <= remaining AND remaining <= granted", name=op.f("ck_wallet_grant_bounds")
        ),
        sa.PrimaryKeyConstraint("customer_id", "id", name=op.f("pk_wallet_grant")),
        postgresql_with={"fillfactor": 50},
    )
    op.create_index(
        "ix_wallet_grant_left",
        "wallet_grant",
        ["customer_id", "asset"],
        unique=False,
        postgresql_where=sa.text("remaining > 0"),
    )
    op.create_table(
        "wallet_hold",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("authorized", sa.Numeric(precision=38, scale=12), nullable=False),
        sa.Column("slices", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("shortage", sa.Numeric(precision=38, scale=12), nullable=False),
        sa.Column("captured", sa.Numeric(precision=38, scale=12), nullable=False),
        sa.Column("uncovered", sa.Numeric(precision=38, scale=12), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("marks", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "id", name=op.f("pk_wallet_hold")),
    )
    op.create_index(
        "ix_wallet_hold_open", "wallet_hold", ["customer_id"], unique=False, postgresql_where=sa.text("status = 'open'")
    )
    op.create_table(
        "wallet_operation",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("refused", sa.Boolean(), nullable=False),
        sa.Column("outcome", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "id", name=op.f("pk_wallet_operation")),
    )
    op.create_index("ix_wallet_operation_sequence", "wallet_operation", ["customer_id", "sequence"], unique=False)
    op.create_table(
        "wallet_spending",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("spent_on", sa.Text(), nullable=False),
        sa.Column("amount", sa.Numeric(precision=38, scale=12), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "asset", "day", "spent_on", name=op.f("pk_wallet_spending")),
        postgresql_with={"fillfactor": 50},
    )
    op.create_table(
        "wallet_subscription",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("products", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("anchor", sa.DateTime(timezone=True), nullable=False),
        sa.Column("renews_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("begun", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("owed", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("return_url", sa.Text(), nullable=True),
        sa.Column("failure_url", sa.Text(), nullable=True),
        sa.Column("redirect_to", sa.Text(), nullable=True),
        sa.Column("top_up", sa.Text(), nullable=True),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "id", name=op.f("pk_wallet_subscription")),
    )
    op.create_index("ix_wallet_subscription_sequence", "wallet_subscription", ["environment", "sequence"], unique=False)
    op.create_index(
        "ix_wallet_subscription_waiting",
        "wallet_subscription",
        ["customer_id"],
        unique=False,
        postgresql_where=sa.text("status = 'action_required'"),
    )
    op.create_table(
        "wallet_tally",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("subscription", sa.Text(), nullable=False),
        sa.Column("price", sa.Text(), nullable=False),
        sa.Column("cell", sa.Text(), nullable=False),
        sa.Column("span", sa.DateTime(timezone=True), nullable=False),
        sa.Column("quantity", sa.Numeric(), nullable=False),
        sa.Column("paid", sa.Numeric(precision=38, scale=12), server_default="0", nullable=False),
        sa.Column("uncovered", sa.Numeric(precision=38, scale=12), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "subscription", "price", "cell", "span", name=op.f("pk_wallet_tally")),
        postgresql_with={"fillfactor": 50},
    )
    op.create_table(
        "wallet_tariff",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.UUID(), nullable=False),
        sa.Column("subscription", sa.Text(), nullable=False),
        sa.Column("price", sa.Text(), nullable=False),
        sa.Column("sold", sa.Text(), nullable=False),
        sa.Column("counter", sa.Text(), nullable=False),
        sa.Column("rank", sa.SmallInteger(), nullable=False),
        sa.Column("product", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("meter", sa.Text(), nullable=False),
        sa.Column("volume_field", sa.Text(), nullable=True),
        sa.Column("formula", sa.Text(), nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("cadence", sa.Text(), nullable=False),
        sa.Column("minimum", sa.Numeric(precision=38, scale=12), nullable=True),
        sa.Column("maximum", sa.Numeric(precision=38, scale=12), nullable=True),
        sa.Column("collection", sa.Text(), server_default="wallet", nullable=False),
        sa.Column("windows", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("customer_id", "subscription", "price", "starts_at", name=op.f("pk_wallet_tariff")),
    )
    op.create_table(
        "webhook_endpoint",
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.UUID(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("enabled_events", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("api_version", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("secrets", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("environment", "id", name=op.f("pk_webhook_endpoint")),
    )
    op.create_index("ix_webhook_endpoint_sequence", "webhook_endpoint", ["environment", "sequence"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_webhook_endpoint_sequence", table_name="webhook_endpoint")
    op.drop_table("webhook_endpoint")
    op.drop_table("wallet_tariff")
    op.drop_table("wallet_tally")
    op.drop_index(
        "ix_wallet_subscription_waiting",
        table_name="wallet_subscription",
        postgresql_where=sa.text("status = 'action_required'"),
    )
    op.drop_index("ix_wallet_subscription_sequence", table_name="wallet_subscription")
    op.drop_table("wallet_subscription")
    op.drop_table("wallet_spending")
    op.drop_index("ix_wallet_operation_sequence", table_name="wallet_operation")
    op.drop_table("wallet_operation")
    op.drop_index("ix_wallet_hold_open", table_name="wallet_hold", postgresql_where=sa.text("status = 'open'"))
    op.drop_table("wallet_hold")
    op.drop_index("ix_wallet_grant_left", table_name="wallet_grant", postgresql_where=sa.text("remaining > 0"))
    op.drop_table("wallet_grant")
    op.drop_index("ix_wallet_event_subject", table_name="wallet_event")
    op.drop_index("ix_wallet_event_sequence", table_name="wallet_event")
    op.drop_index("ix_wallet_event_id", table_name="wallet_event")
    op.drop_index("ix_wallet_event_environment", table_name="wallet_event")
    op.drop_table("wallet_event")
    op.drop_table("wallet")
    op.drop_table("vendor")
    op.drop_table("usage_unique")
    op.drop_table("usage_policy")
    op.drop_table("usage_hour")
    op.drop_table("usage_fee")
    op.drop_table("usage_event")
    op.drop_table("usage_dimension")
    op.drop_index("ix_usage_correction_sequence", table_name="usage_correction")
    op.drop_index("ix_usage_correction_id", table_name="usage_correction")
    op.drop_table("usage_correction")
    op.drop_index("ix_top_up_customer", table_name="top_up")
    op.drop_table("top_up")
    op.drop_table("token_price")
    op.drop_index("ix_test_clock_advancing", table_name="test_clock", postgresql_where=sa.text("status = 'advancing'"))
    op.drop_table("test_clock")
    op.drop_index("ix_tax_rate_sequence", table_name="tax_rate")
    op.drop_table("tax_rate")
    op.drop_table("tax_policy")
    op.drop_index("ix_subscription_item_subscription", table_name="subscription_item")
    op.drop_index("ix_subscription_item_price", table_name="subscription_item")
    op.drop_table("subscription_item")
    op.drop_index(
        "ix_subscription_test_clock", table_name="subscription", postgresql_where=sa.text("test_clock IS NOT NULL")
    )
    op.drop_index("ix_subscription_sequence", table_name="subscription")
    op.drop_index("ix_subscription_customer", table_name="subscription")
    op.drop_table("subscription")
    op.drop_index(
        "ix_stray_event_unreported", table_name="stray_event", postgresql_where=sa.text("reported_at IS NULL")
    )
    op.drop_index("ix_stray_event_identifier", table_name="stray_event")
    op.drop_index("ix_stray_event_fate", table_name="stray_event")
    op.drop_table("stray_event")
    op.drop_index("ix_statement_line_source", table_name="statement_line")
    op.drop_index("ix_statement_line_sequence", table_name="statement_line")
    op.drop_index("ix_statement_line_reference", table_name="statement_line")
    op.drop_index("ix_statement_line_payout", table_name="statement_line")
    op.drop_table("statement_line")
    op.drop_table("spender")
    op.drop_index("ix_setup_intent_sequence", table_name="setup_intent")
    op.drop_index("ix_setup_intent_method", table_name="setup_intent")
    op.drop_index("ix_setup_intent_customer", table_name="setup_intent")
    op.drop_table("setup_intent")
    op.drop_table("seller")
    op.drop_index("ix_refund_sequence", table_name="refund")
    op.drop_index("ix_refund_payment", table_name="refund")
    op.drop_index("ix_refund_charge", table_name="refund")
    op.drop_table("refund")
    op.drop_table("recharge_rule")
    op.drop_table("recharge_log")
    op.drop_index(
        "ix_recent_identifier_anyone",
        table_name="recent_identifier",
        postgresql_using="brin",
        postgresql_ops={"identifier16": "uuid_bloom_ops (n_distinct_per_range = 3200, false_positive_rate = 0.001)"},
        postgresql_with={"pages_per_range": 32},
    )
    op.drop_table("recent_identifier")
    op.drop_table("publisher")
    op.drop_table("public_id")
    op.drop_index("ix_promotion_code_typed", table_name="promotion_code")
    op.drop_index("ix_promotion_code_sequence", table_name="promotion_code")
    op.drop_index("ix_promotion_code_coupon", table_name="promotion_code")
    op.drop_index(
        "ix_promotion_code_active",
        table_name="promotion_code",
        postgresql_where=sa.text("active"),
        postgresql_nulls_not_distinct=True,
    )
    op.drop_table("promotion_code")
    op.drop_index("ix_product_sequence", table_name="product")
    op.drop_table("product")
    op.drop_table("price_collection")
    op.drop_index("ix_price_sequence", table_name="price")
    op.drop_index("ix_price_product", table_name="price")
    op.drop_table("price")
    op.drop_table("portal_session")
    op.drop_index("ix_portal_configuration_sequence", table_name="portal_configuration")
    op.drop_index(
        "ix_portal_configuration_default", table_name="portal_configuration", postgresql_where=sa.text("is_default")
    )
    op.drop_table("portal_configuration")
    op.drop_index("ix_payout_sequence", table_name="payout")
    op.drop_table("payout")
    op.drop_index("ix_payment_method_sequence", table_name="payment_method")
    op.drop_index("ix_payment_method_customer", table_name="payment_method")
    op.drop_table("payment_method")
    op.drop_index("ix_payment_attempt_sequence", table_name="payment_attempt")
    op.drop_index("ix_payment_attempt_reference", table_name="payment_attempt")
    op.drop_index("ix_payment_attempt_payment", table_name="payment_attempt")
    op.drop_index("ix_payment_attempt_customer", table_name="payment_attempt")
    op.drop_table("payment_attempt")
    op.drop_index(
        "ix_payment_unsettled",
        table_name="payment",
        postgresql_where=sa.text("payment.status IN ('processing', 'requires_action', 'requires_capture')"),
    )
    op.drop_index("ix_payment_sequence", table_name="payment")
    op.drop_index("ix_payment_invoice", table_name="payment")
    op.drop_index("ix_payment_customer", table_name="payment")
    op.drop_table("payment")
    op.drop_table("offer_version")
    op.drop_index("ix_offer_sequence", table_name="offer")
    op.drop_table("offer")
    op.drop_table("notice_object")
    op.drop_index("ix_notice_unpublished", table_name="notice", postgresql_where=sa.text("position IS NULL"))
    op.drop_index("ix_notice_sequence", table_name="notice")
    op.drop_index("ix_notice_recorded", table_name="notice")
    op.drop_index("ix_notice_position", table_name="notice", postgresql_where=sa.text("position IS NOT NULL"))
    op.drop_index("ix_notice_object", table_name="notice")
    op.drop_index("ix_notice_id", table_name="notice")
    op.drop_table("notice")
    op.drop_index("ix_meter_event_session_expires_at", table_name="meter_event_session")
    op.drop_table("meter_event_session")
    op.drop_index("ix_meter_sequence", table_name="meter")
    op.drop_table("meter")
    op.drop_index("ix_mail_due", table_name="mail", postgresql_where=sa.text("status = 'pending'"))
    op.drop_table("mail")
    op.drop_index(
        "ix_ledger_transfer_cause", table_name="ledger_transfer", postgresql_where=sa.text("cause <> 'event'")
    )
    op.drop_table("ledger_transfer")
    op.drop_table("ledger_head")
    op.drop_table("ledger_account")
    op.drop_index("ix_invoice_payment_sequence", table_name="invoice_payment")
    op.drop_index("ix_invoice_payment_payment", table_name="invoice_payment")
    op.drop_index("ix_invoice_payment_invoice", table_name="invoice_payment")
    op.drop_table("invoice_payment")
    op.drop_index("ix_invoice_line_subscription_item", table_name="invoice_line")
    op.drop_index("ix_invoice_line_invoice_item", table_name="invoice_line")
    op.drop_index("ix_invoice_line_invoice", table_name="invoice_line")
    op.drop_table("invoice_line")
    op.drop_index("ix_invoice_item_sequence", table_name="invoice_item")
    op.drop_index(
        "ix_invoice_item_pending",
        table_name="invoice_item",
        postgresql_where=sa.text("invoice IS NULL AND NOT deleted"),
    )
    op.drop_index("ix_invoice_item_invoice", table_name="invoice_item")
    op.drop_table("invoice_item")
    op.drop_index("ix_invoice_test_clock", table_name="invoice", postgresql_where=sa.text("test_clock IS NOT NULL"))
    op.drop_index("ix_invoice_subscription", table_name="invoice")
    op.drop_index("ix_invoice_sequence", table_name="invoice")
    op.drop_index("ix_invoice_number", table_name="invoice", postgresql_where=sa.text("number IS NOT NULL"))
    op.drop_index("ix_invoice_customer", table_name="invoice")
    op.drop_table("invoice")
    op.drop_table("idempotency_key")
    op.drop_table("external_id")
    op.drop_index("ix_due_wall", table_name="due", postgresql_where=sa.text("clock IS NULL AND failed_at IS NULL"))
    op.drop_index("ix_due_customer", table_name="due", postgresql_where=sa.text("clock IS NULL AND failed_at IS NULL"))
    op.drop_index("ix_due_clock", table_name="due", postgresql_where=sa.text("clock IS NOT NULL"))
    op.drop_table("due")
    op.drop_index("ix_dispute_sequence", table_name="dispute")
    op.drop_index("ix_dispute_payment", table_name="dispute")
    op.drop_index("ix_dispute_charge", table_name="dispute")
    op.drop_table("dispute")
    op.drop_table("discount")
    op.drop_index("ix_delivery_attempt_sequence", table_name="delivery_attempt")
    op.drop_index("ix_delivery_attempt_position", table_name="delivery_attempt")
    op.drop_index("ix_delivery_attempt_notice", table_name="delivery_attempt")
    op.drop_table("delivery_attempt")
    op.drop_index("ix_delivery_position", table_name="delivery")
    op.drop_index("ix_delivery_order", table_name="delivery", postgresql_where=sa.text("status = 'pending'"))
    op.drop_index("ix_delivery_due", table_name="delivery", postgresql_where=sa.text("status = 'pending'"))
    op.drop_table("delivery")
    op.drop_index("ix_customer_test_clock", table_name="customer", postgresql_where=sa.text("test_clock IS NOT NULL"))
    op.drop_index("ix_customer_sequence", table_name="customer")
    op.drop_index("ix_customer_id", table_name="customer")
    op.drop_index("ix_customer_email", table_name="customer")
    op.drop_table("customer")
    op.drop_index("ix_credit_transaction_sequence", table_name="credit_transaction")
    op.drop_index("ix_credit_transaction_invoice", table_name="credit_transaction")
    op.drop_index("ix_credit_transaction_grant", table_name="credit_transaction")
    op.drop_table("credit_transaction")
    op.drop_index("ix_credit_note_sequence", table_name="credit_note")
    op.drop_index("ix_credit_note_number", table_name="credit_note")
    op.drop_index("ix_credit_note_invoice", table_name="credit_note")
    op.drop_index("ix_credit_note_customer", table_name="credit_note")
    op.drop_table("credit_note")
    op.drop_index("ix_credit_grant_sequence", table_name="credit_grant")
    op.drop_index("ix_credit_grant_customer", table_name="credit_grant")
    op.drop_table("credit_grant")
    op.drop_index("ix_coupon_sequence", table_name="coupon")
    op.drop_table("coupon")
    op.drop_index("ix_checkout_subscription", table_name="checkout")
    op.drop_index("ix_checkout_setup", table_name="checkout")
    op.drop_index("ix_checkout_sequence", table_name="checkout")
    op.drop_index("ix_checkout_payment", table_name="checkout")
    op.drop_index("ix_checkout_customer", table_name="checkout")
    op.drop_table("checkout")
    op.drop_table("catalog_version")
    op.drop_table("budget_tally")
    op.drop_table("budget_reservation")
    op.drop_table("budget")
    op.drop_index("ix_balance_transaction_customer", table_name="balance_transaction")
    op.drop_table("balance_transaction")
    op.drop_table("backfill_event")
    op.drop_table("asset_rate")
    op.drop_table("asset")
    op.drop_table("api_key")
    op.drop_table("alert_watch")
    op.drop_index("ix_alert_sequence", table_name="alert")
    op.drop_index("ix_alert_customer", table_name="alert", postgresql_where=sa.text("customer_id IS NOT NULL"))
    op.drop_table("alert")
