// SPDX-License-Identifier: Apache-2.0
// Who does what with an order, and the exchange and queues for it; whoever starts first makes them.
//
//                       +- order.placed ---> orders.payment   ---> payment
//     shop ---> orders -+- order.paid -----> orders.inventory ---> inventory
//               (topic) +- order.reserved -> orders.shipping  ---> shipping notice
//                       +- order.shipped --> orders.mail      ---> mail
//
// Each worker tells of what it has done as an event of the same exchange, so that none knows of the others,
// and a new one, say for statistics, is a queue more.
import amqplib from 'amqplib';

export const address = process.env.AMQP_URL ?? 'amqp://guest:guest@localhost:5672/%2F';

export const WORKERS = { // name: the event it waits for, the event it tells of
  payment: ['order.placed', 'order.paid'],
  inventory: ['order.paid', 'order.reserved'],
  shipping: ['order.reserved', 'order.shipped'],
  mail: ['order.shipped', 'order.mailed'],
};
export const EVENTS = ['order.placed', ...Object.values(WORKERS).map(([, tells]) => tells)];

export async function connect() {
  const connection = await amqplib.connect(address);
  const channel = await connection.createConfirmChannel();
  await channel.assertExchange('orders', 'topic', { durable: true });
  for (const [name, [event]] of Object.entries(WORKERS)) {
    await channel.assertQueue(`orders.${name}`, { durable: true });
    await channel.bindQueue(`orders.${name}`, 'orders', event);
  }
  return { connection, channel };
}

/** Tell of something that happened to an order; resolves when the broker has it safe. */
export async function tell(channel, event, order) {
  const options = { persistent: true, contentType: 'application/json' };
  await new Promise((resolve, reject) => channel.publish('orders', event, Buffer.from(JSON.stringify(order)), options,
    (refusal) => (refusal ? reject(refusal) : resolve())));
}
