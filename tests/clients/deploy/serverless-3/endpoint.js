// The SDK that serverless@3 brings along does not know of AWS_ENDPOINT_URL.
module.exports = class {
  constructor(serverless) {
    const { config } = serverless.getProvider('aws').sdk;
    config.update({ endpoint: process.env.AWS_ENDPOINT_URL, s3ForcePathStyle: true });
  }
};
