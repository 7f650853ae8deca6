// Express behind two adapters.
const express = require('express');
const serverless = require('serverless-http');
const { configure } = require('@vendia/serverless-express');

const app = express();
app.use(express.json());
app.post('/orders/:id', (request, response) => {
  response.status(201).set('x-kept', 'yes').json({ id: request.params.id, q: request.query.q, body: request.body });
});
app.get('/binary', (_request, response) => {
  response.type('image/png').send(Buffer.from([0, 255, 128]));
});
app.use((_request, response) => response.status(404).send('nowhere'));

exports.http = (serverless.default ?? serverless)(app, { binary: ['image/*'] });
exports.vendia = configure({ app, binarySettings: { contentTypes: ['image/*'] } });
