exports.handler = async (event) => {
  for (const record of event.Records || []) console.log(`asked for ${record.body}`);
  return { statusCode: 200, body: process.env.GREETING };
};
