// Answers with its event.
exports.handler = async (event) => event;
