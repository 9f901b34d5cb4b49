// The billing chain through Stripe's npm SDK: meter, product, price, customer, subscription, events, preview, invoice.
// Prints one line of JSON for the test that runs it.

import assert from 'node:assert/strict';
import Stripe from 'stripe';

const server = new URL(process.env.METERLINE_URL);
const stripe = new Stripe(process.env.METERLINE_KEY, {
  host: server.hostname,
  port: Number(server.port),
  protocol: 'http',
  maxNetworkRetries: 0,
  telemetry: false,
});

const day = 86_400;
const start = Date.UTC(2023, 10, 1) / 1000;

const clock = await stripe.testHelpers.testClocks.create({ frozen_time: start });
const meter = await stripe.billing.meters.create({
  display_name: 'Tokens',
  event_name: 'node_tokens',
  default_aggregation: { formula: 'sum' },
});
const product = await stripe.products.create({ name: 'Tokens', metadata: { made_by: 'node' } });
const price = await stripe.prices.create({
  currency: 'usd',
  product: product.id,
  unit_amount: 400,
  transform_quantity: { divide_by: 100, round: 'up' },
  recurring: { interval: 'month', usage_type: 'metered', meter: meter.id },
});
const customer = await stripe.customers.create({
  email: 'node@example.com',
  test_clock: clock.id,
  payment_method: 'pm_card_visa',
  invoice_settings: { default_payment_method: 'pm_card_visa' },
});
const subscription = await stripe.subscriptions.create({
  customer: customer.id,
  items: [{ price: price.id }],
  expand: ['items.data.price.product'],
});
assert.equal(subscription.items.data[0].price.product.name, 'Tokens');

for (const [number, value] of ['120', '130', '1'].entries()) {
  await stripe.billing.meterEvents.create({
    event_name: 'node_tokens',
    identifier: `node-${number}`,
    timestamp: start,
    payload: { stripe_customer_id: customer.id, value },
  });
}
await assert.rejects(
  stripe.billing.meterEvents.create({
    event_name: 'node_tokens',
    identifier: 'node-0',
    timestamp: start,
    payload: { stripe_customer_id: customer.id, value: '120' },
  }),
  (error) => error.type === 'StripeInvalidRequestError' && /already exists with identifier node-0/.test(error.message),
);

const summaries = await stripe.billing.meters.listEventSummaries(meter.id, {
  customer: customer.id,
  start_time: start,
  end_time: start + day,
});
const preview = await stripe.invoices.createPreview({ customer: customer.id, subscription: subscription.id });

await assert.rejects(stripe.prices.retrieve('price_nope'), (error) => error.code === 'resource_missing');
await assert.rejects(
  stripe.products.create({ name: 'x', wat: 1 }),
  (error) => error.code === 'parameter_unknown' && error.param === 'wat',
);

// The month passes: the period closes, the invoice is drafted, finalized an hour later and paid.
await stripe.testHelpers.testClocks.advance(clock.id, { frozen_time: Date.UTC(2023, 11, 1, 2) / 1000 });
let now = await stripe.testHelpers.testClocks.retrieve(clock.id);
for (let tries = 0; now.status === 'advancing' && tries < 300; tries += 1) {
  await new Promise((resolve) => setTimeout(resolve, 100));
  now = await stripe.testHelpers.testClocks.retrieve(clock.id);
}
assert.equal(now.status, 'ready');
const [invoice] = (await stripe.invoices.list({ subscription: subscription.id })).data;

const listed = [];
for await (const each of stripe.customers.list({ limit: 1, test_clock: clock.id })) listed.push(each.id);

console.log(
  JSON.stringify({
    used: summaries.data.map((summary) => summary.aggregated_value),
    due: preview.amount_due,
    invoice: [invoice.status, invoice.amount_paid, invoice.lines.data[0].quantity],
    listed: listed.length,
    product: product.id,
  }),
);
