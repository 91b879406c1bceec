#!/usr/bin/env node
// Decodes AMQP values with rhea and encodes them again. README.md tells the contract.
'use strict';

const readline = require('readline');
const path = require('path');
// Where the values are; rhea's entry point gives them out for messages only.
const types = require(path.join(path.dirname(require.resolve('rhea')), 'types.js'));

function answer(octets) {
    const reader = new types.Reader(octets);
    const value = reader.read();
    if (reader.remaining() !== 0) {
        throw new Error(reader.position + ' of ' + octets.length + ' octets taken');
    }
    const writer = new types.Writer();
    writer.write(value);
    return writer.toBuffer().toString('hex');
}

readline.createInterface({ input: process.stdin, crlfDelay: Infinity }).on('line', (line) => {
    let said;
    try {
        said = answer(Buffer.from(line, 'hex'));
    } catch (error) {
        said = 'error: ' + String(error).replace(/\s+/g, ' ');
    }
    process.stdout.write(said + '\n');
});
