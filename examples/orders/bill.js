// Bills an order that the bus tells of.
const { mark } = require('./mark');

exports.handler = (event) => mark(event.detail.id, 'billed');
