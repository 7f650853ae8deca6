exports.handler = async (event) => {
  return { statusCode: 200, body: JSON.stringify([{ id: 1, name: "Product A" }]) };
};
