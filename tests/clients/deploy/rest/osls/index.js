exports.hello = async (event) => ({
  statusCode: 200,
  body: `${process.env.GREETING} ${event.requestContext.authorizer ? event.requestContext.authorizer.principalId : "anybody"}`,
});

exports.guard = async (event) => ({
  principalId: event.authorizationToken,
  policyDocument: { Version: "2012-10-17", Statement: [{ Effect: "Allow", Action: "execute-api:Invoke", Resource: "*" }] },
});
