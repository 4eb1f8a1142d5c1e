// The official TypeScript client, unmodified, from a new customer to a paid invoice and prepaid credit.
// Prints one line of JSON with what the client read.
import { Flexprice } from "@flexprice/sdk";

const { COUNTINGHOUSE_URL: serverURL, COUNTINGHOUSE_KEY: apiKeyAuth } = process.env;
const sdk = new Flexprice({ serverURL, apiKeyAuth });
const externalCustomerId = "acme-ts";
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const customer = await sdk.customers.createCustomer({ externalId: externalCustomerId, name: "Acme Ltd" });
const feature = await sdk.features.createFeature({
  name: "Calls", type: "metered", lookupKey: "calls-ts",
  meter: { name: "calls", eventName: "calls.ts", aggregation: { type: "COUNT" }, resetUsage: "BILLING_PERIOD" },
});
const plan = await sdk.plans.createPlan({ name: "Growth", lookupKey: "growth-ts" });
const monthly = {
  entityType: "PLAN", entityId: plan.id, currency: "usd", billingPeriod: "MONTHLY", billingPeriodCount: 1,
  billingCadence: "RECURRING", billingModel: "FLAT_FEE", priceUnitType: "FIAT",
};
await sdk.prices.createPrice({ ...monthly, type: "FIXED", invoiceCadence: "ADVANCE", amount: "49" });
const price = await sdk.prices.createPrice({
  ...monthly, type: "USAGE", invoiceCadence: "ARREAR", meterId: feature.meterId, amount: "0.50",
});
await sdk.entitlements.createEntitlement({
  planId: plan.id, featureId: feature.id, featureType: "metered", usageLimit: 10,
});
const subscription = await sdk.subscriptions.createSubscription({
  externalCustomerId, planId: plan.id, currency: "usd", billingPeriod: "MONTHLY", billingPeriodCount: 1,
  billingCadence: "RECURRING", billingCycle: "anniversary", startDate: new Date(Date.now() - 3600_000).toISOString(),
});

const events = [...Array(12).keys()].map((n) => ({ eventId: `ts-${n}`, eventName: "calls.ts", externalCustomerId }));
await sdk.events.ingestEvent(events[0]);
await sdk.events.ingestEventsBulk({ events });
let usage;
for (let attempt = 0; attempt < 200; attempt++) {
  usage = await sdk.events.getUsageByMeter({ meterId: feature.meterId, externalCustomerId });
  if (Number(usage.value) >= 12) break;
  await pause(100);
}
const ofSubscription = await sdk.subscriptions.getSubscriptionUsage({ subscriptionId: subscription.id });
const listed = await sdk.events.listRawEvents({ externalCustomerId });
const preview = await sdk.invoices.getInvoicePreview({ subscriptionId: subscription.id });

const amounts = { subtotal: "500.00", total: "500.00", amountDue: "500.00" };
const lineItems = [{ displayName: "Setup", quantity: "1", amount: "500.00" }];
const oneOff = await sdk.invoices.createInvoice({ customerId: customer.id, currency: "usd", lineItems, ...amounts });
await sdk.invoices.finalizeInvoice(oneOff.id);
await sdk.payments.createPayment({
  amount: "500.00", currency: "usd", destinationType: "INVOICE", destinationId: oneOff.id, paymentMethodType: "CARD",
});
const paid = await sdk.invoices.getInvoice(oneOff.id);
const wallet = await sdk.wallets.createWallet({ customerId: customer.id, currency: "usd" });
await sdk.wallets.topUpWallet(wallet.id, { amount: "30.00", transactionReason: "PURCHASED_CREDIT_DIRECT" });
const balance = await sdk.wallets.getWalletBalance(wallet.id);
const searches = [
  await sdk.customers.queryCustomer({ externalId: externalCustomerId }),
  await sdk.plans.queryPlan({}), await sdk.prices.queryPrice({ planIds: [plan.id] }), await sdk.features.queryFeature({}),
  await sdk.entitlements.queryEntitlement({ planIds: [plan.id] }), await sdk.wallets.queryWallet({}),
  await sdk.subscriptions.querySubscription({ externalCustomerId }), await sdk.invoices.queryInvoice({}),
];
const cancelled = await sdk.subscriptions.cancelSubscription(subscription.id, { cancellationType: "immediate" });
let refusal;
try {
  await sdk.plans.getPlan("none");
} catch (error) {
  refusal = { status: error.statusCode ?? error.httpMeta?.response?.status, message: error.message };
}

console.log(JSON.stringify({
  customer: (await sdk.customers.getCustomerByExternalId(externalCustomerId)).name,
  price: price.amount, usage: String(usage.value), used: ofSubscription.charges?.length, events: listed.events?.length,
  preview: preview.total, paid: paid.paymentStatus, balance: balance.balance, cancelled: cancelled.status,
  searches: searches.map((page) => page.items.length > 0), refusal,
}));
