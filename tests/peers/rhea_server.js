// An AMQP 1.0 server made with rhea, to receive from. README.md beside this file tells its contract.
'use strict';
const fs = require('fs');
const { parseArgs } = require('util');
const rhea = require('rhea');

const BODY_SIZES = [0, 256, 70000, 300000];

const options = Object.fromEntries(['certificate', 'key', 'count', 'max-frame-size', 'port'].map((name) => [name, { type: 'string' }]));
const { values: given } = parseArgs({ options });
for (const name of ['certificate', 'key', 'count']) {
    if (given[name] === undefined) throw new Error(`--${name} is missing`);
}
const count = Number(given.count);

const counts = { sent: 0, accepted: 0, rejected: 0, released: 0, modified: 0, settled: 0, refused: 0, sasl_user: null };
let reported = false;
function report() {
    if (!reported) fs.writeSync(1, JSON.stringify(counts) + '\n');
    reported = true;
}
function end() {
    report();
    process.exit(0);
}

function message(index) {
    const body = Buffer.alloc(BODY_SIZES[index % BODY_SIZES.length]);
    for (let octet = 0; octet < body.length; octet++) body[octet] = (index + octet) % 251;
    return {
        body: rhea.message.data_section(body),
        application_properties: {
            topic: `/peer/device-${index % 3}/user/data`,
            messageId: `peer-${index}`,
            generateTime: rhea.types.wrap_long(1573489088171 + index),
            qos: rhea.types.wrap_int(index % 2),
        },
    };
}

const container = rhea.create_container({ id: 'rhea-server' });
container.sasl_server_mechanisms.enable_plain((user, password) => {
    const right = user === process.env.AMQP10_PEER_USER && password === process.env.AMQP10_PEER_PASSWORD;
    if (!right) counts.refused++;
    return right;
});

let sender = null;
container.on('sender_open', (context) => {
    context.sender.set_source(context.sender.source);
    if (sender === null) {
        sender = context.sender;
        counts.sasl_user = context.connection.sasl_transport.username;
    }
});
container.on('sendable', (context) => {
    if (context.sender !== sender) return;
    // rhea keeps what it is given until there is credit; taking no more than the credit keeps that little.
    for (let credit = sender.credit; credit > 0 && counts.sent < count && sender.sendable(); credit--) {
        sender.send(message(counts.sent++));
    }
});

// A delivery is done with its outcome or its settlement, whichever comes first; both are counted.
const done = new Set();
function finish({ delivery }) {
    if (!delivery.remote_settled) delivery.update(true, delivery.remote_state);
    done.add(delivery.id);
    if (done.size === count) report();
}
for (const outcome of ['accepted', 'rejected', 'released', 'modified']) {
    container.on(outcome, (context) => {
        counts[outcome]++;
        if (!context.delivery.remote_settled) finish(context);
    });
}
container.on('settled', (context) => {
    counts.settled++;
    finish(context);
});

for (const event of ['connection_close', 'disconnected']) {
    container.on(event, (context) => {
        // Outcomes that came in the same read as the close are told after it.
        if (sender !== null && context.connection === sender.connection) setImmediate(end);
    });
}
for (const event of ['connection_error', 'session_error', 'sender_error', 'protocol_error', 'error']) {
    container.on(event, (context) => console.error(event, context.error || context.message || ''));
}

const listener = container.listen({
    host: '127.0.0.1',
    port: Number(given.port || 0),
    transport: 'tls',
    cert: fs.readFileSync(given.certificate),
    key: fs.readFileSync(given.key),
    max_frame_size: Number(given['max-frame-size'] || 65536),
    // Otherwise rhea tells of a modified delivery twice.
    sender_options: { treat_modified_as_released: false },
});
listener.on('listening', () => console.log('listening', listener.address().port));

process.on('SIGTERM', end);
if (fs.fstatSync(0).isFIFO()) process.stdin.on('end', end).resume();
