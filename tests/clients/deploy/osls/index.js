exports.handler = async () => ({ statusCode: 200, body: process.env.GREETING });

exports.work = async (event) => {
  for (const record of event.Records || []) console.log(record.s3 ? `uploaded ${record.s3.object.key}` : `asked for ${record.body}`);
};
